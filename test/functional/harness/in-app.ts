import type {Host} from './host.ts'
import {busybox} from './images.ts'

/** What the console of a pod shows, without the `[time] app[pid]: ` before each line. */
export function withoutLabels(text: string): string {
  return text.replace(/^\[[^\]]*\] [\w-]+\[\d+\]: /gm, '')
}

/** What a shell command in an app of the default flavor prints. */
export async function inApp(
  host: Host,
  script: string,
  podOptions: readonly string[] = [],
  appOptions: readonly string[] = [],
  image?: string,
): Promise<string> {
  const words = ['run', '--net=none', ...podOptions, image ?? (await busybox()), '--exec=/bin/sh', ...appOptions, '--', '-c', script]
  return withoutLabels(await host.ok(words))
}
