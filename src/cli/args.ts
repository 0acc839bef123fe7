/** Declarations of positional words; valid oclif arg definitions. */

export interface Arg<T = unknown> {
  readonly name: string
  readonly description: string
  readonly required: boolean
  readonly input: string[]
  parse(input: string): Promise<string>
  readonly '~value'?: T
}

export type ArgInput = Readonly<Record<string, Arg>>

export type ArgValues<A extends ArgInput> = {readonly [N in keyof A]: A[N] extends Arg<infer T> ? T : never}

interface ArgOptions {
  readonly description: string
  readonly required?: boolean
}

export const Args = {
  /** One word. A command is called with help and 254 when a required one is missing. */
  string<const O extends ArgOptions>({description, required = false}: O): Arg<O extends {required: true} ? string : string | undefined> {
    return {description, input: [], name: '', parse: async (input) => input, required}
  },
}
