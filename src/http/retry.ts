import type {RetryPolicy} from './types.ts'

export const defaultRetry: RetryPolicy = {attempts: 4, baseMs: 500, capMs: 60_000}

const retriedStatuses = new Set([429, 500, 502, 503, 504])

export const isRetriedStatus = (status: number): boolean => retriedStatuses.has(status)

/**
 * How long to wait before attempt number `attempt` (the first retry is 1): by `Retry-After` where the server said so, else twice as
 * long each time, with a random part so that many clients do not come back at once. Null when the server asks for more than the cap.
 */
export function pauseMs(attempt: number, {baseMs, capMs}: RetryPolicy, retryAfter: string | undefined, now = Date.now()): number | null {
  const asked = retryAfterMs(retryAfter, now)
  if (asked !== null) return asked > capMs ? null : asked
  return Math.min(capMs, baseMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2))
}

/** `Retry-After` in milliseconds from now: seconds or a date; null for what is neither. */
export function retryAfterMs(value: string | undefined, now: number): number | null {
  const text = value?.trim() ?? ''
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  if (!/^[A-Z][a-z]{2,8}, /.test(text)) return null
  const date = Date.parse(text)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

/** Waits, unless the signal comes first. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const {setTimeout} = await import('node:timers/promises')
  await setTimeout(ms, undefined, signal === undefined ? {} : {signal})
}
