// The parser of web/courant-events.js, with the bytes split everywhere: it finds the same however they arrive.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

// Node would take the file for CommonJS by its name.
const source = await readFile(new URL('../../web/courant-events.js', import.meta.url), 'base64');
const { Parser } = await import(`data:text/javascript;base64,${source}`);

function parse(chunks) {
  const found = [];
  const parser = new Parser((frame) => found.push(frame));
  for (const chunk of chunks) parser.push(chunk);
  return found;
}

const frame = (id, event, data) => ({ id, event, data });
const CASES = [
  ['fields', 'id: 7\nevent: a.b\ndata: {"x":1}\n\n', [frame('7', 'a.b', '{"x":1}')]],
  ['CR', 'id: 7\rdata: x\r\rid: 8\r\r', [frame('7', 'message', 'x'), frame('8', 'message', null)]],
  ['CRLF', 'id: 7\r\ndata: x\r\n\r\nid: 8\r\n\r\n', [frame('7', 'message', 'x'), frame('8', 'message', null)]],
  ['all kinds of ends', 'data: a\rdata: b\ndata: c\r\n\ndata: d\n\r', [frame(undefined, 'message', 'a\nb\nc'), frame(undefined, 'message', 'd')]],
  ['a byte order mark, once', '\uFEFFdata: x\n\n\uFEFFdata: y\n\ndata: z\n\n', [frame(undefined, 'message', 'x'), frame(undefined, 'message', 'z')]],
  ['characters of every length', 'data: aé€😀\u2028\u0085b\nevent: ü\n\n', [frame(undefined, 'ü', 'aé€😀\u2028\u0085b')]],
  ['comments', ': keep\n:\ndata: x\n:data: y\n\n: z\n\n', [frame(undefined, 'message', 'x')]],
  ['one space goes', 'data:x\ndata: y\ndata:  z\ndata:\ndata\n\n', [frame(undefined, 'message', 'x\ny\n z\n\n')]],
  ['colons in a value', 'data: a:b: c\n\n', [frame(undefined, 'message', 'a:b: c')]],
  ['unknown fields', 'Data: x\nfoo: y\nbar\n data: z\n\n', []],
  ['retry', 'retry: 1500\n\nretry: 1s\nretry:\nretry: -1\n\ndata: x\n\n', [{ retry: 1500 }, frame(undefined, 'message', 'x')]],
  ['an event without data', 'event: a\n\ndata: x\n\n', [frame(undefined, 'message', 'x')]],
  ['an id with NUL', 'id: 1\0\ndata: x\n\n', [frame(undefined, 'message', 'x')]],
  ['an end in the midst of a block', 'data: x\n\ndata: y\nid: 9\n', [frame(undefined, 'message', 'x')]],
];

for (const [name, text, expected] of CASES) {
  const bytes = new TextEncoder().encode(text);
  assert.deepEqual(parse([bytes]), expected, `${name}, whole`);
  assert.deepEqual(parse([...bytes].map((byte) => Uint8Array.of(byte))), expected, `${name}, byte by byte`);
  for (let i = 0; i <= bytes.length; i++)
    for (let j = i; j <= bytes.length; j++)
      assert.deepEqual(parse([bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]), expected, `${name}, split at ${i} and ${j}`);
}
console.log(`${CASES.length} streams, split everywhere`);
