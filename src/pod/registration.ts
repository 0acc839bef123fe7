/**
 * How stage0 makes a pod known to the metadata service, and takes it out again (stage1-abi §10). The service keeps pods in memory; what
 * it needs to know them again after a restart lies in the pod's directory: the token, 0600, and the marker.
 */

import {existsSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {encodePodManifest, type PodManifest} from '../appc/index.ts'
import {causeChain, RktError} from '../errors.ts'
import {defaultDirectories} from '../privileges.ts'
import {readIfPresent} from './absent.ts'
import type {PodEngine} from './engine-slice.ts'
import {writeNew} from './files.ts'
import type {HeldPod} from './held-pod.ts'
import {podFiles} from './paths.ts'
import type {PreparedPod} from './prepared-pod.ts'

/** Where the service takes registrations: root's alone. */
export const metadataSocket = join(defaultDirectories().runtime, 'metadata-svc.sock')

const tries = 3
const pauseMs = 1000
const patienceMs = 10_000
const tokenBytes = 16

const unreachable = [
  'could not reach the metadata service.',
  'Make sure metadata service is currently running or use',
  '"rkt run --mds-register=false" to skip pod registration.',
  'For more information on running metadata service,',
  'see https://github.com/rkt/rkt/blob/master/Documentation/subcommands/metadata-service.md',
].join('\n')

/** Refuses at once what could only fail later: nobody has made the service's socket. */
export function requireMetadataService(): void {
  if (!existsSync(metadataSocket)) throw failure(new Error(unreachable))
}

/**
 * Registers a pod under a token of its own, which is answered: 32 hex digits that only the pod, root and the service know. A service
 * that is being restarted is waited for. Of a pod that cannot be registered no trace stays.
 */
export async function registerPod(
  {diagnostics}: Pick<PodEngine, 'diagnostics'>,
  pod: HeldPod<'prepare' | 'prepared'>,
  {apps}: Pick<PreparedPod, 'apps'>,
): Promise<string> {
  const {randomBytes} = await import('node:crypto')
  const token = randomBytes(tokenBytes).toString('hex')
  dropRecord(pod.path)
  writeNew(join(pod.path, podFiles.metadataToken), token, 0o600)
  // Before the first request: from here on, whoever removes the pod takes it out of the service too.
  writeNew(join(pod.path, podFiles.metadataMarker), '', 0o640)
  for (let attempt = 1; ; attempt++) {
    try {
      await put(`/pods/${pod.uuid}`, readIfPresent(join(pod.path, podFiles.manifest)) ?? '', `?token=${token}`)
      for (const {manifest, name} of apps) await put(`/pods/${pod.uuid}/${name}`, manifest)
      return token
    } catch (cause) {
      const reason = isUnreachable(cause) ? new Error(unreachable) : cause
      const [message = ''] = causeChain(reason)
      diagnostics.note('stage0', `registering the pod failed (${attempt} of ${tries}): ${message.split('\n')[0]}`)
      if (attempt < tries) await sleep(pauseMs)
      else {
        await remove(pod.uuid).catch(() => {
          // The failure to register is the one to show.
        })
        dropRecord(pod.path)
        throw failure(reason)
      }
    }
  }
}

/**
 * Tells the service which apps a registered pod has from now on; `added` is the manifest of the image of a new one. A service that does
 * not run reads all of it from the pod's directory when it starts.
 */
export async function updateRegistration(
  {path, uuid}: {readonly path: string; readonly uuid: string},
  manifest: PodManifest,
  added?: {readonly name: string; readonly manifest: Uint8Array},
): Promise<void> {
  const token = existsSync(join(path, podFiles.metadataMarker)) && readIfPresent(join(path, podFiles.metadataToken))
  if (!token) return
  try {
    await put(`/pods/${uuid}`, encodePodManifest(manifest), `?token=${token.toString('latin1').trim()}`)
    if (added) await put(`/pods/${uuid}/${added.name}`, added.manifest)
  } catch (cause) {
    if (!isUnreachable(cause)) throw failure(cause)
  }
}

/** Takes a pod out of the service if it was registered there. A service that does not run has lost it already. */
export async function unregisterPod({path, uuid}: {readonly path: string; readonly uuid: string}): Promise<void> {
  if (existsSync(join(path, podFiles.metadataMarker))) await remove(uuid)
}

function dropRecord(path: string): void {
  for (const name of [podFiles.metadataMarker, podFiles.metadataToken]) rmSync(join(path, name), {force: true})
}

async function put(path: string, body: string | Uint8Array, query = ''): Promise<void> {
  const status = await ask('PUT', path + query, body)
  if (status !== 200) throw new Error(`PUT ${path} returned ${status}`)
}

async function remove(uuid: string): Promise<void> {
  const path = `/pods/${uuid}`
  const status = await ask('DELETE', path)
  // Not there is what we want.
  if (status !== 200 && status !== 404) throw new Error(`DELETE ${path} returned ${status}`)
}

/** One request over the socket; answers the status. */
async function ask(method: string, path: string, body?: string | Uint8Array): Promise<number> {
  const {request} = await import('node:http')
  return await new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(patienceMs)
    const sent = request({agent: false, headers: {host: 'metadata'}, method, path, signal, socketPath: metadataSocket}, (response) => {
      response.resume()
      response.once('error', reject)
      response.once('end', () => resolve(response.statusCode ?? 0))
    })
    sent.once('error', (error) => reject(signal.aborted ? new Error(`the metadata service did not answer ${method} in time`) : error))
    sent.end(body)
  })
}

function isUnreachable(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOENT' || code === 'ECONNREFUSED'
}

const failure = (cause: unknown) => new RktError('RKT_METADATA_SERVICE', 'failed to register the pod', {cause})
