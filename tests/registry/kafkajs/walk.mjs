// Drives a registry with the client that Node.js programs use: node walk.mjs URL SUBJECT
import assert from 'node:assert/strict'
import { SchemaRegistry, SchemaType, COMPATIBILITY } from '@kafkajs/confluent-schema-registry'

const [url, subject] = process.argv.slice(2)
const steps = []
const registry = new SchemaRegistry({ host: url })
const schema = (...fields) => ({
  type: SchemaType.AVRO,
  schema: JSON.stringify({ type: 'record', name: 'R', namespace: 'n', fields }),
})
const a = { name: 'a', type: 'string' }
const value = { a: '直达' }

const { id } = await registry.register(schema(a), { subject, compatibility: COMPATIBILITY.BACKWARD })
steps.push('registered')
assert.equal((await registry.register(schema(a), { subject })).id, id)
steps.push('registered again')
assert.equal(await registry.getLatestSchemaId(subject), id)
steps.push('latest')
assert.equal(await registry.getRegistryIdBySchema(subject, schema(a)), id)
steps.push('by schema')
const body = await registry.encode(id, value)
assert.deepEqual({ ...(await registry.decode(body)) }, value)
steps.push('decoded')
const other = new SchemaRegistry({ host: url })
assert.deepEqual({ ...(await other.decode(body)) }, value)
steps.push('decoded by another client')
await assert.rejects(registry.register(schema({ name: 'b', type: 'int' }), { subject }), /incompatible/i)
steps.push('refused as incompatible')
const unknown = Buffer.from(body)
unknown.writeInt32BE(2 ** 30, 1)
await assert.rejects(other.decode(unknown), /not found/i)
steps.push('unknown id')
const second = await registry.register(schema(a, { name: 'b', type: 'int', default: 7 }), { subject })
assert.notEqual(second.id, id)
assert.equal(await registry.getLatestSchemaId(subject), second.id)
steps.push('evolved')
console.log(JSON.stringify({ steps }))
