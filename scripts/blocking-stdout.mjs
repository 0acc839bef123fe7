/**
 * Imported by every process of the test runner. A test file reports on its standard output, a pipe, and with --test-force-exit ends with
 * process.exit(): what does not fit into the pipe at once would be lost, and its tests with it, without anybody noticing.
 */
process.stdout._handle?.setBlocking?.(true)
