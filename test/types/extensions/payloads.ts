/** Sealed inputs: a body is opened before it is decoded, and the answer is sealed. A sketch that compiles. */

import type { Answer, Extension } from 'modelmount/extension'

interface Keys {
  open(sealed: Uint8Array): Promise<{ readonly body: Uint8Array; seal(answer: Uint8Array): Promise<Uint8Array> }>
}

const MEDIA_TYPE = 'application/jose'

export function payloads(keys: Keys): Extension {
  return {
    apiVersion: 1,
    name: 'payloads',
    stages: {
      open: (next) => async (call) => {
        const { request } = call
        if (!(request?.body instanceof Uint8Array) || request.headers['content-type'] !== MEDIA_TYPE) return next(call)
        const { body, seal } = await keys.open(request.body)
        const headers = { ...request.headers, 'content-type': 'application/json' }
        const answer = await next({ ...call, request: { ...request, headers, body } })
        return sealed(answer, seal)
      },
    },
  }
}

async function sealed(answer: Answer, seal: (body: Uint8Array) => Promise<Uint8Array>): Promise<Answer> {
  const { response } = answer
  if (!response) return answer
  const body = await seal(response.body)
  return { ...answer, response: { ...response, headers: { ...response.headers, 'content-type': MEDIA_TYPE }, body } }
}
