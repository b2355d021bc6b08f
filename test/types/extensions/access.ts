/** Access control by roles: guards, a stage and a route. A sketch that compiles: its types are real, its bodies are small. */

import { ModelmountError } from 'modelmount'
import type { Action, Demand, Extension, Principal } from 'modelmount/extension'

interface Grant {
  readonly actions: readonly Action[]
  readonly models: readonly string[]
}

interface AccessOptions {
  readonly roles: Readonly<Record<string, readonly Grant[]>>
  rolesOf(principal: Principal | undefined): readonly string[]
}

export interface Access extends Extension {
  /** Whether a demand would be let through, and by which role. */
  explain(demand: Demand): string | undefined
}

const refused = (): ModelmountError => new ModelmountError('FORBIDDEN', 'the request is not allowed to this caller')

export function access({ roles, rolesOf }: AccessOptions): Access {
  const holds = ({ actions, models }: Grant, action: Action, model: string | undefined): boolean =>
    actions.includes(action) && (model === undefined || models.includes(model))
  const explain = ({ principal, action, model }: Demand): string | undefined =>
    rolesOf(principal).find((role) => roles[role]?.some((grant) => holds(grant, action, model)))

  return {
    apiVersion: 1,
    name: 'access',
    explain,
    guards: [
      (demand) => {
        if (explain(demand) === undefined) throw refused()
      },
    ],
    stages: {
      // The version that an alias stands for is known here only.
      authorize: (next) => (call) => {
        const { servable, principal } = call
        const demand: Demand = { action: 'infer', via: 'http', principal, model: servable.name, version: servable.version }
        return explain(demand) === undefined ? Promise.reject(refused()) : next(call)
      },
    },
    routes: [
      {
        class: 'manage',
        method: 'GET',
        path: '/access/roles',
        action: 'policy',
        handle: () => ({ status: 200, headers: {}, body: Buffer.from(JSON.stringify(Object.keys(roles))) }),
      },
    ],
  }
}
