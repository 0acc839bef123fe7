/** Names of the files of a pod directory (docs/data-directory.md). All are relative to it. */

import {join} from 'node:path'

export const podFiles = {
  created: 'pod-created',
  manifest: 'pod',
  manifestLock: 'pod.lck',
  metadataMarker: 'mds-registered',
  metadataToken: 'mds-token',
  netInfo: 'net-info.json',
  overlay: 'overlay',
  overlayMarker: 'overlay-prepared',
  pid: 'pid',
  ppid: 'ppid',
  privateUsers: 'private-users-prepared',
  stage1Manifest: 'stage1/manifest',
  stage1Rootfs: 'stage1/rootfs',
  stage1TreeId: 'stage1TreeStoreID',
  subcgroup: 'subcgroup',
} as const

export const appInfo = (app: string): string => join('appsinfo', app)
export const appManifest = (app: string): string => join('appsinfo', app, 'manifest')
export const appTreeId = (app: string): string => join('appsinfo', app, 'treeStoreID')

/** An app's place in the root file system of stage1. */
export const stage2 = (app: string): string => join('opt/stage2', app)

/** What stage1 writes for us, below its root file system. */
export const statusFile = (app: string): string => join('rkt/status', app)
export const supervisorStatus = 'rkt/supervisor-status'
