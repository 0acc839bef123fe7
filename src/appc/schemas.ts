/**
 * The format as JSON Schema: fields in the order in which they are written, their types, bounds and presence. ajv compiles it
 * ahead of time (scripts/compile-schemas.ts); reading and writing walk it too. What a schema cannot say is in check.ts.
 */

/**
 * How a field is written that is empty (absent, "", 0, false, a list or map without entries). Without a word it is left out;
 * `given`: left out only when absent; `always`: an absent list is null; `null`: an empty list is null too.
 */
export type Emit = 'given' | 'always' | 'null'

export interface Schema {
  readonly $ref?: `#/$defs/${string}`
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean'
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema
  readonly items?: Schema
  readonly const?: string
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly emit?: Emit
}

type Definition<Name extends string> = {readonly $ref: `#/$defs/${Name}`}
const ref = <Name extends string>(name: Name): Definition<Name> => ({$ref: `#/$defs/${name}`})
const list = (items: Schema): Schema => ({items, type: 'array'})
const emit = (word: Emit, schema: Schema): Schema => ({...schema, emit: word})
const required = (schema: Schema): Schema => emit('always', schema)

const text: Schema = {type: 'string'}
const flag: Schema = {type: 'boolean'}
const userMap: Schema = {additionalProperties: text, type: 'object'}
/** The kernel reads the id above this one as "unchanged". */
const id: Schema = {maximum: 2 ** 32 - 2, minimum: 0, type: 'integer'}
const port: Schema = {maximum: 65535, minimum: 1, type: 'integer'}

export const PATTERNS = {
  absolutePath: '^(/|$)',
  environmentName: '^[A-Za-z_][A-Za-z_0-9.-]*$',
  identifier: '^[a-z0-9]([-._~/a-z0-9]*[a-z0-9])?$',
  imageId: '^sha512-[^-]+$',
  name: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  notEmpty: '^[^]',
} as const

// not minLength, whose compiled code needs a function of ajv
const someText: Schema = {pattern: PATTERNS.notEmpty, type: 'string'}

const $defs = {
  annotation: {properties: {name: required(ref('identifier')), value: required(text)}, required: ['name'], type: 'object'},
  app: {
    properties: {
      exec: emit('null', list(text)),
      eventHandlers: list(ref('eventHandler')),
      user: required(someText),
      group: required(someText),
      supplementaryGIDs: list(id),
      workingDirectory: {pattern: PATTERNS.absolutePath, type: 'string'},
      environment: list(ref('environmentVariable')),
      mountPoints: list(ref('mountPoint')),
      ports: list(ref('port')),
      isolators: list(ref('isolator')),
      userAnnotations: userMap,
      userLabels: userMap,
    },
    required: ['user', 'group'],
    type: 'object',
  },
  dependency: {
    properties: {
      imageName: required(ref('identifier')),
      imageID: ref('imageId'),
      labels: list(ref('label')),
      size: {maximum: Number.MAX_SAFE_INTEGER, minimum: 0, type: 'integer'},
    },
    required: ['imageName'],
    type: 'object',
  },
  environmentVariable: {
    properties: {name: required({pattern: PATTERNS.environmentName, type: 'string'}), value: required(text)},
    required: ['name'],
    type: 'object',
  },
  eventHandler: {
    properties: {name: required({enum: ['pre-start', 'post-stop'], type: 'string'}), exec: emit('null', list(text))},
    required: ['name'],
    type: 'object',
  },
  exposedPort: {
    properties: {name: required(ref('name')), hostPort: required(port), hostIP: text, podPort: ref('port')},
    required: ['name', 'hostPort'],
    type: 'object',
  },
  identifier: {pattern: PATTERNS.identifier, type: 'string'},
  imageId: {pattern: PATTERNS.imageId, type: 'string'},
  imageManifest: {
    properties: {
      acKind: required({const: 'ImageManifest', type: 'string'}),
      acVersion: required(text),
      name: required(ref('identifier')),
      labels: list(ref('label')),
      app: ref('app'),
      annotations: list(ref('annotation')),
      dependencies: list(ref('dependency')),
      pathWhitelist: list(text),
    },
    required: ['acKind', 'acVersion', 'name'],
    type: 'object',
  },
  isolator: {properties: {name: required(ref('identifier')), value: required({})}, required: ['name', 'value'], type: 'object'},
  label: {properties: {name: required(ref('identifier')), value: required(text)}, required: ['name'], type: 'object'},
  mount: {
    properties: {volume: required(ref('name')), path: required(someText), appVolume: ref('volume')},
    required: ['volume', 'path'],
    type: 'object',
  },
  mountPoint: {
    properties: {name: required(ref('name')), path: required(someText), readOnly: flag},
    required: ['name', 'path'],
    type: 'object',
  },
  name: {pattern: PATTERNS.name, type: 'string'},
  podManifest: {
    properties: {
      acVersion: required(text),
      acKind: required({const: 'PodManifest', type: 'string'}),
      apps: emit('null', list(ref('runtimeApp'))),
      volumes: emit('always', list(ref('volume'))),
      isolators: emit('always', list(ref('isolator'))),
      annotations: emit('always', list(ref('annotation'))),
      ports: emit('always', list(ref('exposedPort'))),
      userAnnotations: userMap,
      userLabels: userMap,
    },
    required: ['acKind'],
    type: 'object',
  },
  port: {
    properties: {
      name: required(ref('name')),
      protocol: required(text),
      port: required(port),
      count: required({maximum: 65535, minimum: 0, type: 'integer'}),
      socketActivated: required(flag),
    },
    required: ['name', 'port'],
    type: 'object',
  },
  runtimeApp: {
    properties: {
      name: required(ref('name')),
      image: required(ref('runtimeImage')),
      app: ref('app'),
      readOnlyRootFS: flag,
      mounts: list(ref('mount')),
      annotations: list(ref('annotation')),
    },
    required: ['name'],
    type: 'object',
  },
  runtimeImage: {
    properties: {name: ref('identifier'), id: ref('imageId'), labels: list(ref('label'))},
    type: 'object',
  },
  volume: {
    properties: {
      name: required(ref('name')),
      kind: required(text),
      source: text,
      readOnly: emit('given', flag),
      recursive: emit('given', flag),
      propagation: emit('given', text),
      mode: emit('given', text),
      uid: emit('given', id),
      gid: emit('given', id),
    },
    required: ['name', 'kind'],
    type: 'object',
  },
} satisfies Readonly<Record<string, Schema>>

/** The document that is compiled: its two manifests are among the definitions. */
export const schemas = {$defs, $id: 'appc'}

export type DefinitionName = keyof typeof $defs

/** The schema itself where `schema` names another. */
export function resolve(schema: Schema): Schema {
  return schema.$ref === undefined ? schema : $defs[schema.$ref.slice('#/$defs/'.length) as DefinitionName]
}
