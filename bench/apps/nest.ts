/** A Nest app, on its default platform, with the model routes: by our module, or by the controller that one writes first. */

import 'reflect-metadata'
import type { AddressInfo } from 'node:net'
import { Body, Controller, HttpCode, Module, NotFoundException, Param, Post, type Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ModelServerModule } from 'modelmount/nestjs'
import { SESSION } from '../lib/direct.ts'
import type { AppAnswer, AppAsk, Kind } from './ask.ts'
import { type InferBody, KEEP_ALIVE_MS, startRival } from './rivals.ts'

interface Made {
  readonly module: Type<unknown>
  readonly label: string
}

function ours({ model, names = ['m'] }: AppAsk): Made {
  const models = names.map((name) => ({ name, source: model, session: SESSION }))
  @Module({ imports: [ModelServerModule.forRoot({ models, strict: true })] })
  class AppModule {}
  return { module: AppModule, label: 'modelmount' }
}

async function byHand(kind: Exclude<Kind, 'ours' | 'bytes'>, ask: AppAsk): Promise<Made> {
  const rivals = new Map<string, Awaited<ReturnType<typeof startRival>>>()
  for (const name of ask.names ?? ['m']) rivals.set(name, await startRival({ ...ask, kind }))

  @Controller('v2/models')
  class ModelsController {
    @Post(':name/infer')
    @HttpCode(200)
    infer(@Param('name') name: string, @Body() body: InferBody) {
      const rival = rivals.get(name)
      if (!rival) throw new NotFoundException()
      return rival.infer(body)
    }
  }

  @Module({ controllers: [ModelsController] })
  class AppModule {}
  return { module: AppModule, label: [...rivals.values()][0]?.label ?? '' }
}

export async function startNest(ask: AppAsk & { readonly kind: Exclude<Kind, 'bytes'> }): Promise<AppAnswer> {
  const { module, label } = ask.kind === 'ours' ? ours(ask) : await byHand(ask.kind, ask)
  const app = await NestFactory.create(module, { logger: false })
  app.getHttpServer().keepAliveTimeout = KEEP_ALIVE_MS
  await app.listen(0, '127.0.0.1')
  return { port: (app.getHttpServer().address() as AddressInfo).port, label }
}
