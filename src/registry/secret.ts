/** A text that no message, no JSON and no inspection shows; only who asks for it by name gets it. */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '***'
  }

  toJSON(): string {
    return '***'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '***'
  }
}

/** What proves who asks, and where it came from. */
export type Credential = {readonly origin: string} & (
  | {readonly kind: 'basic'; readonly user: string; readonly password: Secret}
  /** A refresh token of a token server; `user` is empty where none was stored with it. */
  | {readonly kind: 'identity'; readonly user: string; readonly token: Secret}
  /** A token for the registry itself. */
  | {readonly kind: 'bearer'; readonly token: Secret}
)

/** `Basic …` of a user and a password. */
export const basic = (user: string, password: Secret): string => `Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`
