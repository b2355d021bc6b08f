/** A host that loads a model, says so, and stays for a while. argv: model file, tier or `bare` for ONNX Runtime without modelmount, seconds */
const [model, tier, seconds] = process.argv.slice(2)
if (tier === 'bare') {
  const { default: ort } = await import('onnxruntime-node')
  await ort.InferenceSession.create(model)
} else {
  const { createModelServer } = await import('modelmount')
  const server = await createModelServer({ models: [{ name: 'm', source: model }], isolation: tier })
  await server.predict('m', { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 4]] })
}
console.log('loaded')
setTimeout(() => {}, Number(seconds) * 1000)
