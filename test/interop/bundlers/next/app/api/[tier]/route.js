import { modelServer } from '../../../lib/models.mjs'

export async function GET(_request, { params }) {
  const { tier } = await params
  try {
    const server = await modelServer(tier)
    const { outputs } = await server.predict('penguins', { features: [[46.1, 13.2, 211, 4500]] })
    return Response.json({ gentoo: outputs.probabilities.data[2] })
  } catch (error) {
    return Response.json({ code: error.code, message: error.message, cause: String(error.cause) }, { status: 500 })
  }
}
