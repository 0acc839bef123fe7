import {causeChain, EngineCommand, type ImageKey, RktError, resolveStoredImage, type TreeId} from '@rkt/engine'

export default class ImageVerify extends EngineCommand {
  static override strict = false
  static override summary = 'Verify one or more rendered images in the local store'
  static override usage = 'IMAGE...'

  async run(): Promise<void> {
    const {argv} = await this.parse(ImageVerify)
    if (argv.length === 0) throw new RktError('RKT_BAD_ARGUMENTS', 'must provide at least one image')
    await using engine = await this.openEngine()
    for (const image of argv) {
      const key = await attempt(`unable to resolve store key for image ${image}`, async () => resolveStoredImage(engine.store, image))
      const tree = await attempt(`unable to get treestoreID for image ${image}`, async () => engine.treestore.idOf(key))
      await attempt(`unable to verify image ${image}`, () => engine.store.verify(key))
      await this.#verify(engine.treestore, image, key, tree)
    }
  }

  async #verify(
    treestore: Awaited<ReturnType<EngineCommand['openEngine']>>['treestore'],
    image: string,
    key: ImageKey,
    tree: TreeId,
  ): Promise<void> {
    if (!treestore.isRendered(tree)) {
      this.print(`image "${image}" not rendered; no verification needed`)
      return
    }
    try {
      await treestore.check(tree)
      this.print(`successfully verified checksum for image: "${image}" ("${key}")`)
    } catch (error) {
      this.print(`tree cache verification failed for image ${image}: ${causeChain(error).at(-1)};  rebuilding...`)
      try {
        await treestore.render(key, {rebuild: true})
      } catch (cause) {
        throw new RktError('RKT_IMAGE_VERIFY', `unable to repair cache for image ${image}`, {cause})
      }
    }
  }
}

async function attempt<T>(failure: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (cause) {
    throw new RktError('RKT_IMAGE_VERIFY', failure, {cause, hint: cause instanceof RktError ? cause.hint : undefined})
  }
}
