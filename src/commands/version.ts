import {AC_VERSION} from '../appc/index.ts'
import {EngineCommand, packageVersion} from '../cli/index.ts'

const architectures: Readonly<Record<string, string>> = {arm64: 'arm64', ia32: '386', ppc64: 'ppc64le', x64: 'amd64'}

export default class Version extends EngineCommand {
  static override summary = 'Print the version and exit'

  async run(): Promise<void> {
    await this.parse(Version)
    this.print(`rkt Version: ${packageVersion()}`)
    this.print(`appc Version: ${AC_VERSION}`)
    this.print(`Node Version: ${process.version}`)
    this.print(`OS/Arch: ${process.platform}/${architectures[process.arch] ?? process.arch}`)
    this.print('Features: -TPM -SDJOURNAL')
  }
}
