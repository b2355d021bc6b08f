/** `npx tsx examples/nestjs/main.ts`, after `npm run build`. */

import { NestFactory } from '@nestjs/core'
import { AppModule } from './app.module.ts'

const app = await NestFactory.create(AppModule)
// On SIGTERM: the door closes, requests that are inside get their answers, then the models go.
app.enableShutdownHooks()
await app.listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? '127.0.0.1')
