/** The servers that are compared with modelmount: versions, how each is started, and its requests. */

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
/** The same version as that of onnxruntime-node. */
const ORT = 'onnxruntime==1.30.0'

/** Infer requests of the Open Inference Protocol. */
const V2 = {
  path: (model) => `/v2/models/${model}/infer`,
  body: (inputs, output) => ({ inputs, ...(output && { outputs: [{ name: output }] }) }),
  dataOf: ({ outputs }) => outputs[0].data,
}

/** Nested lists by name, and a nested list back. */
const NATURAL = {
  path: (model) => `/${model}`,
  body: (inputs) => Object.fromEntries(inputs.map(({ name, data }) => [name, [data]])),
  dataOf: (answer) => answer.flat(),
}

const quietly = (command, args, opts = {}) => {
  try {
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...opts })
  } catch (error) {
    throw new Error(
      `${command} ${args[0]}: ${String(error.stderr || error.message)
        .trim()
        .split('\n')
        .at(-1)}`,
    )
  }
}

/** @returns the folder of an environment's programs */
function environmentOf(folder, name, packages) {
  const environment = join(folder, 'venv', name)
  if (!existsSync(join(environment, 'bin/python'))) quietly('python3', ['-m', 'venv', environment])
  quietly(join(environment, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', ORT, ...packages])
  return join(environment, 'bin')
}

/** A script beside this one, which gets the port and the folder with the models. */
const python = (name, packages, more = {}) => ({
  ...V2,
  prepare(folder) {
    const command = join(environmentOf(folder, name, packages), 'python')
    return (port) => ({ command, args: [here(`${name}_server.py`), String(port), folder] })
  },
  ...more,
})

const native = {
  ...V2,
  prepare(folder) {
    cpSync(here('native'), join(folder, 'native'), { recursive: true })
    const cargo = ['build', '--release', '--quiet', '--manifest-path', join(folder, 'native/Cargo.toml')]
    quietly('cargo', cargo, { env: { ...process.env, CARGO_TARGET_DIR: join(folder, 'target') } })
    const packaged = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))
    const library = join(packaged, `bin/napi-v6/${process.platform}/${process.arch}/libonnxruntime.so.1`)
    return (port) => ({ command: join(folder, 'target/release/native-server'), args: [library, folder, String(port)] })
  },
}

/** On Fastify, with the options of its own sessions that the others have, too. */
export const OURS = {
  ...V2,
  prepare: (folder) => (port) => ({ command: process.execPath, args: [here('modelmount_server.mjs'), String(port), folder] }),
}

export const RIVALS = {
  'axum + ort': native,
  FastAPI: python('fastapi', ['fastapi==0.165.0', 'uvicorn==0.54.0', 'uvloop==0.23.0', 'httptools==0.9.0', 'orjson==3.13.0']),
  KServe: python('kserve', ['kserve==0.21.0']),
  MLServer: python('mlserver', ['mlserver==1.7.1']),
  LitServe: python('litserve', ['litserve==0.2.19']),
  BentoML: {
    ...NATURAL,
    prepare(folder) {
      const command = join(environmentOf(folder, 'bentoml', ['bentoml==1.4.40']), 'bentoml')
      const env = { FOLDER: folder, BENTOML_DO_NOT_TRACK: 'True' }
      return (port) => ({ command, args: ['serve', 'bentoml_server:Models', '--host', '127.0.0.1', '--port', String(port)], env })
    },
  },
  'Ray Serve': python('ray', ['ray[serve]==2.60.0']),
}
