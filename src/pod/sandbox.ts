import {RktError} from '../errors.ts'
import {entrypointPath, mutableEntrypoints, type Stage1Choice, selectStage1} from '../stage1/index.ts'
import {explain} from './explain.ts'
import {type SandboxRequest, sandboxManifest} from './manifest.ts'
import {overlayProblem} from './overlay-support.ts'
import {orRemoved, preparePod} from './prepare.ts'
import {becomePod, type RunOptions, setUpPod} from './run.ts'

type SandboxEngine = Parameters<typeof selectStage1>[0] & Parameters<typeof preparePod>[0]

export interface SandboxOptions extends Omit<SandboxRequest, 'version'> {
  readonly stage1: Stage1Choice | undefined
  readonly overlay: boolean
  readonly run: Omit<RunOptions, 'mutable'>
  readonly version: SandboxRequest['version']
  /** Called with the UUID before anything else happens to the pod. */
  readonly created?: (pod: {readonly uuid: string}) => void
}

/** Prepares a pod without apps and becomes it. Never returns. */
export async function runSandbox(engine: SandboxEngine, options: SandboxOptions): Promise<never> {
  const stage1 = await selectStage1(engine, options.stage1)
  const problem = options.overlay ? overlayProblem(engine) : null
  if (problem !== null) engine.diagnostics.note('sandbox', `disabling overlay support: ${JSON.stringify(problem)}`)
  const manifest = sandboxManifest(options)
  const {pod, prepared} = await prepareSandbox()
  const launch = await orRemoved(engine, pod, async () => {
    try {
      for (const name of mutableEntrypoints) entrypointPath(prepared.stage1.manifest, name)
    } catch (error) {
      // Which entrypoint it lacks tells nobody more.
      engine.diagnostics.debug('sandbox', String(error))
      throw new RktError('RKT_STAGE1_IMMUTABLE', 'stage1 does not support mutable pods')
    }
    return await setUpPod(engine, pod, prepared, {...options.run, mutable: true})
  })
  return await becomePod(engine, pod, launch)

  async function prepareSandbox() {
    try {
      return await preparePod(engine, {
        images: [],
        manifest: () => ({manifest}),
        overlay: options.overlay && problem === null,
        privateUsers: false,
        stage1,
        ...(options.created && {created: options.created}),
      })
    } catch (cause) {
      throw explain('error setting up stage0', cause)
    }
  }
}
