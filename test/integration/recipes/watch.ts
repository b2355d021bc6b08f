import type { Extension } from 'modelmount/extension'

export const watch = (write: (line: string) => void): Extension => ({
  apiVersion: 1,
  name: 'watch',
  stages: {
    observe: (next) => async (call) => {
      try {
        const answer = await next(call)
        const { servable } = call.account.progress
        const how = answer.ageMs === undefined ? `run ${answer.run?.batchId}` : 'kept'
        write(`${call.model}@${servable?.version} ${how}, ${answer.endedAt - call.at} ms`)
        return answer
      } catch (error) {
        write(`${call.model} ${(error as { code: string }).code}`)
        throw error
      }
    },
  },
})
