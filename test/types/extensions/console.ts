/** A page for operators, made from what the other extensions know. A sketch that compiles. */

import type { Extension, ExtensionContext } from 'modelmount/extension'

export function operatorConsole(): Extension {
  let context: ExtensionContext | undefined
  let failures = 0
  let stop: (() => void) | undefined
  return {
    apiVersion: 1,
    name: 'console',
    start(given) {
      context = given
      stop = given.subscribe((event) => {
        if (event.type === 'model' && event.state === 'failed') failures++
      })
    },
    close: () => stop?.(),
    routes: [
      {
        class: 'observe',
        method: 'GET',
        path: '/console',
        action: 'read',
        async handle() {
          const panels = context?.panels ?? []
          const rows = await Promise.all(
            panels.map(async ({ title, source }) => {
              const found = context?.sources.find(({ name }) => name === source)
              return `${title}: ${JSON.stringify(await found?.read())}`
            }),
          )
          const names = context?.models().map(({ name }) => name) ?? []
          const text = [...names, ...rows, `${failures} failures`].join('\n')
          return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: Buffer.from(text) }
        },
      },
    ],
  }
}
