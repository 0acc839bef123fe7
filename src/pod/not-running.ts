import {RktError} from '../errors.ts'
import {isAfterRun, type PodState} from './state.ts'

/** The refusal of what only a running pod can do. */
export function notRunning({state, uuid}: {readonly state: PodState; readonly uuid: string}): RktError {
  return new RktError('RKT_POD_STATE', `pod "${uuid}" isn't currently running`, {hint: nextStep(state, uuid)})
}

function nextStep(state: PodState, uuid: string): string | undefined {
  if (state === 'prepared') return `It is prepared: run it with "rkt run-prepared ${uuid}".`
  return isAfterRun(state) ? `It has ended; "rkt status ${uuid}" says how, "rkt logs ${uuid}" what its apps wrote.` : undefined
}
