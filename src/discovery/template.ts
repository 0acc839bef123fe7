import type {Label} from '../appc/index.ts'

/** What is asked for: a name, and the labels that the image must carry. */
export interface Wanted {
  readonly name: string
  readonly labels: readonly Label[]
}

/**
 * A template with `{name}`, `{LABEL}`, `{version}` and `{ext}` filled in; null where it wants a label that was not asked for. It is
 * filled in one pass: braces in the value of a label mean nothing.
 */
export function fillTemplate(template: string, {labels, name}: Wanted, ext: string): string | null {
  const values = new Map(labels.map((label) => [String(label.name), label.value]))
  values.set('name', name)
  values.set('ext', ext)
  if (!values.get('version')) values.set('version', 'latest')
  let unresolved = false
  const text = template.replace(/\{([^{}]*)\}/g, (_, word: string) => {
    const value = values.get(word)
    unresolved ||= value === undefined
    return value ?? ''
  })
  return unresolved ? null : text
}
