/** A host whose child hangs; the test kills it. */
import { createModelServer } from 'modelmount'

const server = await createModelServer({ models: [{ name: 'm', source: process.argv[2] }], isolation: 'process', logger: false })
server.predict('m', { trips: 2n ** 50n }, { timeoutMs: 600_000 }).catch(() => {})
setTimeout(() => console.log('running'), 300)
