/** `npx tsx examples/fastify/server.ts`, after `npm run build`. */

import { createApp } from './app.ts'

const app = await createApp()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' }))
