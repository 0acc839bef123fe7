/**
 * Writes plugins/api-service/src/generated anew, from the .proto files beside it: messages and services as code, so that neither the build
 * nor the program compiles any. Needs what "npm test" sets up, and the npm registry.
 */
import {execFileSync} from 'node:child_process'
import {globSync, rmSync} from 'node:fs'
import {join, resolve} from 'node:path'

const root = resolve(import.meta.dirname, '..')
const plugin = join(root, 'plugins/api-service')
const generator = '@bufbuild/protoc-gen-es@2.17.0'

const output = join(plugin, 'src/generated')
for (const old of globSync(join(output, '*_pb.*'))) rmSync(old)
const options = [`--es_out=${output}`, '--es_opt=target=js+dts,import_extension=js']
const words = ['-m', 'grpc_tools.protoc', '-I', join(plugin, 'proto'), ...options, ...globSync(join(plugin, 'proto/*.proto'))]
const python = join(root, '.cache/python/bin/python')
execFileSync('npm', ['exec', '--yes', `--package=${generator}`, '--', python, ...words], {stdio: 'inherit'})
