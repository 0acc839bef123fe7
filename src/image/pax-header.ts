/** Extended tar headers whose values are bytes: xattrs and names of files need not be text. */

/** The attributes of one entry that its plain header cannot hold. */
export type PaxRecords = ReadonlyMap<string, Buffer>

const BLOCK = 512

/** The blocks of a `pax` header that stands in front of the entry it speaks of. */
export function paxHeader(records: PaxRecords): Buffer {
  const body = Buffer.concat([...records].map(([keyword, value]) => paxRecord(keyword, value)))
  const padding = Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)
  return Buffer.concat([header(body.length), body, padding])
}

/** `LENGTH KEYWORD=VALUE\n`, where the length counts its own digits. */
function paxRecord(keyword: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${keyword}=`), value, Buffer.from('\n')])
  let length = rest.length
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

function header(size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  block.write('PaxHeader', 0)
  block.write('0000644\0', 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  block.write('00000000000\0', 136)
  block.write('        ', 148)
  block.write('x', 156)
  block.write('ustar\x0000', 257)
  const checksum = block.reduce((sum, byte) => sum + byte, 0)
  block.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
