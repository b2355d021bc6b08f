/**
 * NestJS 10 to 12, on Express and on Fastify.
 * @module modelmount/nestjs
 */

export type { NestRequest, RouteOptions } from './nestjs/controller.ts'
export { type HealthResult, ModelServerHealth } from './nestjs/health.ts'
export {
  ModelServerModule,
  type ModelServerModuleAsyncOptions,
  type ModelServerModuleOptions,
  type ModuleExtras,
} from './nestjs/module.ts'
export { getModelServerToken, getModelToken, InjectModel, InjectModelServer, type ModelHandle } from './nestjs/tokens.ts'
