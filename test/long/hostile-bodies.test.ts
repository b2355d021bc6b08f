/** Every hostile value in every place, of which the usual tests take a third. */

import { expect, onTestFinished, test } from 'vitest'
import { askEach, openHostileServer } from '../support/each-hostile-body.ts'
import { MOUNT } from '../support/hostile-bodies.ts'

test('every form is answered, and none keeps the event loop', async () => {
  const server = await openHostileServer()
  onTestFinished(() => server.close())
  const mount = server.http.mount(MOUNT)
  await askEach(mount, 1)
  expect(await mount.handle({ method: 'GET', path: '/v2/health/live', headers: {} })).toMatchObject({ status: 200 })
}, 300_000)
