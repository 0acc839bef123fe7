/**
 * npm run build: everything that lies in bin/ and dist/. Each step knows what it is made from and is left out when nothing
 * of that changed; steps that do not need each other run side by side.
 */
import {perform, type Step} from './steps.ts'

const native: Step = {
  inputs: ['Cargo.toml', 'Cargo.lock', 'crates'],
  name: 'native',
  outputs: ['bin/rkt', 'dist/rkt.node', 'dist/stage1'],
  says: 'building the launcher, the addon and the executables of the flavors (cargo) ...',
  script: 'scripts/build-native.ts',
}

const bundle: Step = {
  inputs: ['src', 'plugins', 'package.json', 'package-lock.json', 'tsconfig.json'],
  name: 'bundle',
  outputs: ['dist/rkt.js', 'dist/index.js'],
  says: 'bundling the commands and plugins (esbuild) ...',
  script: 'scripts/bundle.ts',
}

const flavors: Step = {
  inputs: ['flavors', 'dist/stage1', 'src/image', 'package.json'],
  name: 'flavors',
  outputs: ['bin/stage1-native.aci', 'bin/stage1-fly.aci', 'bin/flavors.json'],
  says: 'packing the flavors (stage1-native.aci, stage1-fly.aci) ...',
  script: 'scripts/pack-flavors.ts',
}

try {
  await Promise.all([perform(native).then(() => perform(flavors)), perform(bundle)])
} catch (error) {
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
