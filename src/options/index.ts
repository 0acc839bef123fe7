/**
 * The sets of options that several commands share, also those of plugins, and what their values come to. Rests on the command line's
 * grammar and on pods. Knows no single command.
 */
export {chooseApp} from './app-choice.ts'
export {appOverrides, imageFlags, imageReferences} from './image.ts'
export {
  checkPortNetworks,
  checkRegistration,
  environmentRequest,
  networkFlags,
  networksOf,
  preparationFlags,
  pullFlags,
  pullPolicy,
  requireUserNamespaces,
  runOptions,
  stage1Choice,
  stage1Flags,
} from './pod.ts'
