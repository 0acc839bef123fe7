/**
 * A node:test reporter that says nothing but how many tests passed, failed and were skipped, and which files reported to their end, as JSON.
 */
export default async function* count(source) {
  const files = []
  for await (const {data, type} of source) {
    if (type !== 'test:summary') continue
    if (data.file !== undefined) {
      files.push(data.file)
      continue
    }
    const {cancelled, failed, passed, skipped, todo} = data.counts
    yield JSON.stringify({failed: failed + cancelled, files, passed, skipped: skipped + todo})
  }
}
