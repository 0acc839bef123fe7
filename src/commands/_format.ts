import {Flags} from '../cli/index.ts'

const formats = ['json', 'json-pretty'] as const
export type Format = (typeof formats)[number]

export const formatFlag = {
  format: Flags.custom({
    description: 'output in this format instead of a table or lines: json or json-pretty',
    parse(text): Format {
      const format = formats.find((each) => each === text)
      if (!format) throw new Error(`Invalid format option: ${text}`)
      return format
    },
    values: formats,
  }),
}

export const formatJson = (value: unknown, format: Format): string =>
  JSON.stringify(value, null, format === 'json-pretty' ? '\t' : undefined)
