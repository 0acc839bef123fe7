/**
 * The engine: everything over one data directory, each part opened when it is first asked for. It is what use cases and plugins are
 * given. Rests on every room of the engine's own; knows no command and no word of a command line.
 */
export {type Engine, type EngineOptions, openEngine} from './engine.ts'
