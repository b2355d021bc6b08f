export default {
  output: 'standalone',
  serverExternalPackages: ['modelmount', 'onnxruntime-node'],
  outputFileTracingIncludes: {
    '/api/*': ['./node_modules/modelmount/**', './node_modules/onnxruntime-*/**', './score.onnx'],
  },
}
