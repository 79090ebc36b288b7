/** Server-sent events as text comes in, in pieces of any size (WHATWG HTML, section 9.2.6: what we send of it). */
export interface Message {
  /** The place to resume from; undefined when the sender named none. */
  readonly id: string | undefined
  /** Empty for a message that only names a place. */
  readonly data: string
}

export class EventStreamParser {
  #rest = ''

  /** The messages that are complete now. Comments are heartbeats: they say nothing, but that the other end is there. */
  push(text: string): Message[] {
    const blocks = (this.#rest + text).split(/\r?\n\r?\n/)
    this.#rest = blocks.pop() ?? ''
    return blocks.map(parseBlock).filter((message) => message.id !== undefined || message.data !== '')
  }
}

function parseBlock(block: string): Message {
  let id: string | undefined
  const data: string[] = []
  for (const line of block.split(/\r?\n/)) {
    const match = /^(\w+):? ?(.*)$/.exec(line)
    if (match?.[1] === 'id') id = match[2]
    if (match?.[1] === 'data') data.push(match[2] ?? '')
  }
  return { id, data: data.join('\n') }
}
