/** Large tensors stand beside the body that they belong to. Who cannot do with that gets it in one piece, which is a copy into fresh memory. */

interface InPieces {
  readonly body: Uint8Array
  readonly rest?: readonly Uint8Array[]
}

export const bytesIn = ({ body, rest = [] }: InPieces): number => rest.reduce((sum, { byteLength }) => sum + byteLength, body.byteLength)

/** The same with all bytes in `body`. */
export function joined<T extends InPieces>(message: T): T {
  const { body, rest } = message
  return rest === undefined ? message : { ...message, body: Buffer.concat([body, ...rest]), rest: undefined }
}
