/** The module: makes the server, hands it out, mounts its routes, closes it with the app. */

import {
  type DynamicModule,
  type InjectionToken,
  Module,
  type ModuleMetadata,
  type OptionalFactoryDependency,
  type Provider,
  type Type,
} from '@nestjs/common'
import { HttpAdapterHost } from '@nestjs/core'
import { createModelServer, type ModelServer, type ModelServerOptions } from 'modelmount'
import { createController, mounted, type RouteOptions, setRoutes } from './controller.ts'
import { ModelServerHealth } from './health.ts'
import { type HttpAdapter, passBodies, toRoute } from './platform.ts'
import { createHandle, getModelServerToken, getModelToken, wantedModels } from './tokens.ts'

export interface ModuleExtras {
  /** Place and options of the HTTP routes; `false` for none. @default {} */
  readonly routes?: RouteOptions | false
  /** Tells several servers in one app apart: `@InjectModelServer(key)`, `@InjectModel(model, key)`. */
  readonly key?: string
  /** Importing it once is enough. @default true */
  readonly isGlobal?: boolean
}

export interface ModelServerModuleOptions extends ModelServerOptions, ModuleExtras {}

export interface ModelServerModuleAsyncOptions extends ModuleExtras, Pick<ModuleMetadata, 'imports'> {
  readonly inject?: (InjectionToken | OptionalFactoryDependency)[]
  /** Returns options for a server, or a server. Either is closed with the app. */
  // biome-ignore lint/suspicious/noExplicitAny: the arguments of `inject` have any type, as everywhere in Nest
  useFactory(...deps: any[]): Promise<ModelServerOptions | ModelServer> | ModelServerOptions | ModelServer
}

interface Setup extends ModuleExtras {
  readonly imports?: ModuleMetadata['imports']
  readonly server: Omit<Extract<Provider, { useFactory: unknown }>, 'provide'>
}

/** Nest runs this after the last answer, given that the app closes by `app.close()` or has `enableShutdownHooks()`. */
const lifecycleOf = (server: ModelServer) => ({ onApplicationShutdown: () => server.close() })

const isServer = (value: ModelServerOptions | ModelServer): value is ModelServer => 'predict' in value

// biome-ignore lint/complexity/noStaticOnlyClass: the usual form of a Nest module
export class ModelServerModule {
  static forRoot(options: ModelServerModuleOptions): DynamicModule {
    const { routes, key, isGlobal, ...server } = options
    return setUp({ routes, key, isGlobal, server: { useFactory: () => createModelServer(server) } })
  }

  static forRootAsync(options: ModelServerModuleAsyncOptions): DynamicModule {
    const { useFactory, inject = [], ...rest } = options
    const make = async (...deps: unknown[]): Promise<ModelServer> => {
      const given = await useFactory(...deps)
      return isServer(given) ? given : createModelServer(given)
    }
    return setUp({ ...rest, server: { inject, useFactory: make } })
  }

  /** Handles of models for modules that load after the root module, whose `@InjectModel` it cannot have seen. */
  static forFeature(models: readonly string[], key?: string): DynamicModule {
    const providers = models.map((model) => handleOf(model, key))
    return { module: class ModelFeatureModule {}, providers, exports: models.map((model) => getModelToken(model, key)) }
  }
}
Module({})(ModelServerModule)

const handleOf = (model: string, key: string | undefined): Provider => ({
  provide: getModelToken(model, key),
  inject: [getModelServerToken(key)],
  useFactory: (server: ModelServer) => createHandle(server, model),
})

/** The controller of the routes, and a provider that gives it its paths. */
function carry(
  routes: RouteOptions,
  key: string | undefined,
): { readonly controller: Type<object>; readonly platform: Provider } {
  const token = getModelServerToken(key)
  const controller = createController(routes, key)

  /** Paths can be set once the server and the platform are known, before Nest registers routes. */
  function useFactory(host: HttpAdapterHost, server: ModelServer): true {
    const { roots } = mounted(server, routes)
    const mount = (adapter: HttpAdapter | undefined): void => {
      if (!adapter) return
      const paths = roots.map((root) => toRoute(root, adapter))
      setRoutes(controller, paths)
      passBodies(adapter, paths)
    }
    // A testing module gets its adapter after everything else; Nest 10 does not say when.
    setRoutes(controller, roots)
    if (host.httpAdapter) mount(host.httpAdapter as unknown as HttpAdapter)
    else host.init$?.subscribe(() => mount(host.httpAdapter as unknown as HttpAdapter))
    return true
  }

  return { controller, platform: { provide: `${token}.platform`, inject: [HttpAdapterHost, token], useFactory } }
}

function setUp({ routes = {}, key, isGlobal = true, imports = [], server }: Setup): DynamicModule {
  const token = getModelServerToken(key)
  const models = wantedModels(key)
  const carried = routes === false ? undefined : carry(routes, key)

  return {
    module: ModelServerModule,
    global: isGlobal,
    imports,
    controllers: carried ? [carried.controller] : [],
    providers: [
      { provide: token, ...server },
      { provide: `${token}.lifecycle`, inject: [token], useFactory: lifecycleOf },
      { provide: ModelServerHealth, inject: [token], useFactory: (server: ModelServer) => new ModelServerHealth(server) },
      ...(carried ? [carried.platform] : []),
      ...models.map((model) => handleOf(model, key)),
    ],
    exports: [token, ModelServerHealth, ...models.map((model) => getModelToken(model, key))],
  }
}
