/**
 * Discovery: from the name of an image to where its archive, its signature and the keys that sign it lie, by the `<meta>` tags of
 * the pages that the name and its parents stand for (appc's meta discovery).
 * Rests on http for the pages and on parse5 (loaded with the first page) for their tags. Knows nothing of stores, keystores or pods.
 */
export {type Discovered, type DiscoveryPorts, discoverEndpoints, discoverKeyLocations, type Endpoint} from './discover.ts'
