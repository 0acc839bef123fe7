import assert from 'node:assert/strict'
import {test} from 'node:test'

import {fromOciPlatform, KNOWN_PLATFORMS, toOciPlatform} from './index.ts'

test('every known platform but two has a name in OCI, and comes back from it', () => {
  for (const [os, archs] of KNOWN_PLATFORMS) {
    for (const arch of archs) {
      const oci = toOciPlatform({arch, os})
      if (arch === 'aarch64_be' || arch === 'armv7b') assert.equal(oci, undefined)
      else assert.deepEqual(oci && fromOciPlatform(oci), {arch, os})
    }
  }
})

test('arm has variants, on Linux two of them', () => {
  assert.equal(fromOciPlatform({architecture: 'arm', os: 'linux'})?.arch, 'armv6l')
  assert.equal(fromOciPlatform({architecture: 'arm', os: 'linux', variant: 'v6'})?.arch, 'armv6l')
  assert.equal(fromOciPlatform({architecture: 'arm', os: 'linux', variant: '7'})?.arch, 'armv7l')
  assert.equal(fromOciPlatform({architecture: 'arm', os: 'linux', variant: 'v5'}), undefined)
  for (const variant of ['v5', 'v6', 'v7']) assert.equal(fromOciPlatform({architecture: 'arm', os: 'freebsd', variant})?.arch, 'arm')
  assert.deepEqual(toOciPlatform({arch: 'armv7l', os: 'linux'}), {architecture: 'arm', os: 'linux', variant: 'v7'})
  assert.deepEqual(toOciPlatform({arch: 'arm', os: 'freebsd'}), {architecture: 'arm', os: 'freebsd'})
})

test('other names differ as they do', () => {
  assert.equal(fromOciPlatform({architecture: 'arm64', os: 'linux', variant: 'v8'})?.arch, 'aarch64')
  assert.equal(fromOciPlatform({architecture: '386', os: 'linux'})?.arch, 'i386')
  assert.equal(fromOciPlatform({architecture: 'amd64', os: 'darwin'})?.arch, 'x86_64')
  for (const architecture of ['riscv64', 'loong64', 'x86_64', '']) assert.equal(fromOciPlatform({architecture, os: 'linux'}), undefined)
  assert.equal(fromOciPlatform({architecture: 'amd64', os: 'windows'}), undefined)
})
