import type {Token} from 'parse5'

/** An `ac-…` tag of a page: for names that begin with `prefix`, what `kind` speaks of lies at `target`. */
export interface MetaTag {
  /** `ac-discovery`, `ac-discovery-pubkeys`, or one that we do not know. */
  readonly kind: string
  readonly prefix: string
  /** A template of `ac-discovery`, a URL of `ac-discovery-pubkeys`. */
  readonly target: string
}

/** No page has a reason for more; what follows is not looked at. */
const maxTags = 1000

/**
 * The `ac-…` tags of a page in their order. Only the tokenizer runs: no tree is built, so neither nesting nor missing ends matter,
 * and a page of any shape takes time in proportion to its length. What stands in comments, scripts and other text is no tag.
 */
export async function metaTags(html: string): Promise<MetaTag[]> {
  const {Tokenizer, TokenizerMode} = await import('parse5')
  // What a tree builder would tell the tokenizer: these elements contain text, up to their end tag.
  const contents: Readonly<Record<string, typeof tokenizer.state>> = {
    iframe: TokenizerMode.RAWTEXT,
    noembed: TokenizerMode.RAWTEXT,
    noframes: TokenizerMode.RAWTEXT,
    plaintext: TokenizerMode.PLAINTEXT,
    script: TokenizerMode.SCRIPT_DATA,
    style: TokenizerMode.RAWTEXT,
    textarea: TokenizerMode.RCDATA,
    title: TokenizerMode.RCDATA,
    xmp: TokenizerMode.RAWTEXT,
  }
  const tags: MetaTag[] = []
  const ignore = () => {}
  const tokenizer = new Tokenizer(
    {},
    {
      onCharacter: ignore,
      onComment: ignore,
      onDoctype: ignore,
      onEndTag: ignore,
      onEof: ignore,
      onNullCharacter: ignore,
      onStartTag(token) {
        const content = Object.hasOwn(contents, token.tagName) ? contents[token.tagName] : undefined
        if (content !== undefined) tokenizer.state = content
        const tag = token.tagName === 'meta' && tags.length < maxTags ? metaTag(token) : null
        if (tag !== null) tags.push(tag)
      },
      onWhitespaceCharacter: ignore,
    },
  )
  tokenizer.write(html, true)
  return tags
}

function metaTag({attrs}: Token.TagToken): MetaTag | null {
  const kind = attrs.find(({name}) => name === 'name')?.value ?? ''
  const content = attrs.find(({name}) => name === 'content')?.value.trim() ?? ''
  const blank = content.search(/\s/)
  if (!kind.startsWith('ac-') || blank < 0) return null
  return {kind, prefix: content.slice(0, blank), target: content.slice(blank).trim()}
}
