-- Tells the state of records and asks it about them, row by row in order, atomically.
--
-- ARGV[1]: what the state was called when the caller began: an error is returned when it is not any more
-- ARGV[2]: JSON, what the columns are:
--   write     true when the state is told; otherwise nothing is changed and nobody waits
--   place     short name of the report topic and the partition that the rows came from
--   topic     the short name alone
--   wait      seconds for which a record waits
--   keys      how many columns of keys there are; values: how many columns of values
--   lookups   [index id, key column]: each pair of them that is told or asked
--   indexes   [look-up, value column]
--   questions [look-up, value column, mode, own, event]: own is true where the index is of the rows' dataset,
--             event is what a row that was found something about waits for, "" for nothing
--   Columns count from 1, 0 is a column that is empty in all rows; look-ups count from 1.
-- ARGV[3]: orders, 39 digits each: the greater one is current. They end in 2^63 - 1 less the offset.
-- ARGV[4], ARGV[5]: identities, as texts are given: lengths of two bytes each, then all of them one after the other.
-- Then each column of keys, 32 characters each (32 spaces: none), then each column of values, as two arguments.
--
-- Returns, for each row and question about which something was found: row and question (from 0), how many texts were
-- found, and these; for a row of a version that has been replaced: row, -1, 0. Nothing for all others.
--
-- z:g:<topic>    hash, the guards by identity: order, then for each index in which the record is: id, key, 3 digits, value
-- z:i:<index>    hash, by key who holds it: <when it came>:<holder>, or * where it is, or was, more than one. Where
--                nobody does: ~ <order> .. <place> of each who waits for the first holder though all is well (conflicts).
--                Nearly every record does so, and this is as cheap as can be; beyond some of them they wait in z:w
-- z:m:<index>:<key>       sorted set of holders by when they came, where it is more than one
--                         holder = 3 digits, bytes of the identity .. identity .. value
-- z:w:<index><event>:<key>  hash of topic .. identity -> order .. place of who waits for the event at this key
-- z:n:<index>:<event>     somebody has waited there
-- z:q:<number>            such a hash when the event has come; z:woken: list of these, for due.lua
-- z:hashes                the names of z:g and z:i that there are
-- z:came                  counter of arrivals
-- z:epoch                 random name of this state, gone with it
--
-- What single commands would look up row by row is read for all rows at once, kept in tables while the rows are worked
-- through, and written back at the end: a command costs more here than all else that is done for a row. Fields of a few
-- large hashes cost half of what as many names would.
local sub, byte, call, format, insert = string.sub, string.byte, redis.call, string.format, table.insert
local find = string.find
if call('GET', 'z:epoch') ~= ARGV[1] then return redis.error_reply('STATELOST what was told before is gone') end
local spec = cjson.decode(ARGV[2])
local write, place, topic = spec.write, spec.place, spec.topic
local NONE, MANY, WAITS, NEWEST = string.rep(' ', 32), '*', byte('~'), 8
-- Bytes at a key that nobody holds from which on no more who wait for the first holder are put there.
local CROWDED = 800
-- Arguments to one command, fewer than a Lua stack holds.
local AT_ONCE = 2000
local NOTHING = {}

local function number_at(text, at)
  local a, b, c = byte(text, at, at + 2)
  return a * 100 + b * 10 + c - 5328
end

local function texts(lengths, joined)
  local found, at = {}, 1
  for row = 1, #lengths / 2 do
    local high, low = byte(lengths, row * 2 - 1, row * 2)
    local length = high * 256 + low
    found[row] = sub(joined, at, at + length - 1)
    at = at + length
  end
  return found
end

local function fixed(column, width, none)
  local found, row = {}, 0
  for at = 1, #column, width do
    local text = sub(column, at, at + width - 1)
    row = row + 1
    found[row] = text ~= none and text
  end
  return found
end

-- Runs a command on a name and arguments, portion by portion, and hands each portion's answer on.
local function in_portions(command, name, arguments, answered)
  for from = 1, #arguments, AT_ONCE do
    local answer = call(command, name, unpack(arguments, from, math.min(from + AT_ONCE - 1, #arguments)))
    if answered then answered(answer, from) end
  end
end

local orders, identities = fixed(ARGV[3], 39), texts(ARGV[4], ARGV[5])
local rows = #orders
-- A column of keys holds false where a row has none.
local keys, values = {[0] = NOTHING}, {[0] = NOTHING}
for column = 1, spec.keys do keys[column] = fixed(ARGV[5 + column], 32, NONE) end
for column = 1, spec.values do
  local at = 4 + spec.keys + 2 * column
  values[column] = texts(ARGV[at], ARGV[at + 1])
end

-- A hash, with what of it was read (text, or false for none) and which fields change.
local hashes, hash_of = {}, {}
local function hash(prefix, id)
  local name = prefix .. id
  local one = hash_of[name]
  if not one then
    one = {name = name, id = id, cache = {}, wanted = {}, changed = {}, changes = 0, came_first = {}, quiet = {}}
    hash_of[name] = one
    insert(hashes, one)
  end
  return one
end
local function want(one, fields)
  local cache, wanted, count = one.cache, one.wanted, #one.wanted
  for row = 1, #fields do
    local field = fields[row]
    if field and cache[field] == nil then
      cache[field] = false
      count = count + 1
      wanted[count] = field
    end
  end
end
-- What was not asked for in advance: the keys that a record had before.
local function cached(one, field)
  local text = one.cache[field]
  if text == nil then
    text = call('HGET', one.name, field)
    one.cache[field] = text
  end
  return text
end
local function change(one, field, text)
  one.cache[field] = text
  local changes = one.changes + 1
  one.changes = changes
  one.changed[changes] = field
end
-- Who holds a key, false for nobody.
local function held_by(index, key)
  local text = cached(index, key)
  return text and byte(text) ~= WAITS and text
end

local guarded = #spec.indexes > 0
local guards = hash('z:g:', topic)
if guarded then want(guards, identities) end
local looked_up = {}
for at, lookup in ipairs(spec.lookups) do
  local index = hash('z:i:', lookup[1])
  looked_up[at] = {index, keys[lookup[2]]}
  want(index, keys[lookup[2]])
end
for _, one in ipairs(hashes) do
  local cache, wanted = one.cache, one.wanted
  in_portions('HMGET', one.name, wanted, function(answer, from)
    for at = 1, #answer do cache[wanted[from + at - 1]] = answer[at] end
  end)
end

-- What is told: hash, keys and values of each index.
local told, known = {}, {}
for at, index in ipairs(spec.indexes) do
  local where = looked_up[index[1]]
  told[at] = {where[1], where[2], values[index[2]]}
  known[where[1].id] = true
end

local digits = {}
local function length_of(text)
  local length = #text
  local found = digits[length] or format('%03d', length)
  digits[length] = found
  return found
end

-- What the guard of a row has to say now. One expression makes one text, a loop as many as it has rounds.
local function now_of(row)
  local one, two = told[1], told[2]
  local key, other = one[2][row], two and two[2][row]
  local said, other_said = key and (one[3][row] or ''), other and (two[3][row] or '')
  local now
  if key and other then
    now = orders[row] .. one[1].id .. key .. length_of(said) .. said
      .. two[1].id .. other .. length_of(other_said) .. other_said
  elseif key then
    now = orders[row] .. one[1].id .. key .. length_of(said) .. said
  elseif other then
    now = orders[row] .. two[1].id .. other .. length_of(other_said) .. other_said
  else
    now = orders[row]
  end
  for at = 3, #told do
    one = told[at]
    key = one[2][row]
    if key then
      said = one[3][row] or ''
      now = now .. one[1].id .. key .. length_of(said) .. said
    end
  end
  return now
end

-- What a guard says: key and value by index, and the text of indexes that these rules do not have. They belong to rules
-- that others go by while rules change, who see to them themselves (building.py).
local function entries_in(guard)
  local found, others, at = {}, '', 40
  while at <= #guard do
    local id, length = sub(guard, at, at + 7), number_at(guard, at + 40)
    if known[id] then
      found[id] = {sub(guard, at + 8, at + 39), sub(guard, at + 43, at + 42 + length)}
    else
      others = others .. sub(guard, at, at + 42 + length)
    end
    at = at + 43 + length
  end
  return found, others
end

local before_call, came
local function next_number()
  if not came then
    before_call = tonumber(call('GET', 'z:came') or 0)
    came = before_call
  end
  came = came + 1
  return format('%d', came)
end

local function waiting_name(index, event, key) return 'z:w:' .. index.id .. event .. ':' .. key end

-- Whether anybody has ever waited at an index in z:w.
local awaited = {['+'] = {}, ['-'] = {}}
local function awaited_name(index, event) return 'z:n:' .. index.id .. ':' .. event end
local function is_awaited(index, event)
  local known_of = awaited[event]
  if known_of[index] == nil then known_of[index] = call('EXISTS', awaited_name(index, event)) == 1 end
  return known_of[index]
end
local function await(index, event)
  if is_awaited(index, event) then return end
  call('SET', awaited_name(index, event), '1')
  awaited[event][index] = true
end

local nows = {}
-- Finds the keys at which nobody waits, in ``quiet`` of their index; for others that has to be looked up.
local function look_for_waiting()
  for row = 1, guarded and rows or 0 do nows[row] = now_of(row) end
  for _, one in ipairs(told) do
    local index, column, names, of = one[1], one[2], {}, {}
    for row = 1, is_awaited(index, '+') and #column or 0 do
      local key = column[row]
      if key and guards.cache[identities[row]] ~= nows[row] then
        insert(names, waiting_name(index, '+', key))
        insert(of, key)
      end
    end
    for from = 1, #names, AT_ONCE do
      local to = math.min(from + AT_ONCE - 1, #names)
      if call('EXISTS', unpack(names, from, to)) == 0 then
        for at = from, to do index.quiet[of[at]] = true end
      end
    end
  end
end

local function woken(name)
  local fresh = 'z:q:' .. next_number()
  call('RPUSH', 'z:woken', fresh)
  if name then
    call('RENAME', name, fresh)
    call('PERSIST', fresh)
  end
  return fresh
end

local function wake(index, event, key)
  if not is_awaited(index, event) or (event == '+' and index.quiet[key]) then return end
  local name = waiting_name(index, event, key)
  if call('EXISTS', name) == 1 then woken(name) end
  if event == '+' then index.quiet[key] = true end
end

local function many(index, key) return 'z:m:' .. index.id .. ':' .. key end
local function holder_text(identity, said) return length_of(identity) .. identity .. said end
local function holder(text) return sub(text, find(text, ':', 1, true) + 1) end
local function identity_of(text) return sub(text, 4, 3 + number_at(text, 1)) end
local function value_of(text) return sub(text, 4 + number_at(text, 1)) end

local function leave(index, key, member)
  local sole = held_by(index, key)
  if sole == MANY then
    call('ZREM', many(index, key), member)
    if call('EXISTS', many(index, key)) == 0 then change(index, key, false) end
  elseif sole and holder(sole) == member then
    change(index, key, false)
  end
end

-- Those who have waited for the first holder of a key are judged again.
local function wake_all(waiting)
  local fields, count = {}, 0
  for one in string.gmatch(waiting, '~([^~]+)') do
    fields[count + 1], fields[count + 2] = '~' .. one, one
    count = count + 2
  end
  call('HSET', woken(), unpack(fields))
end

-- ``came_first`` of a key to which nobody came before: the row that has just come.
local function enter(index, key, identity, said, row)
  local sole = cached(index, key)
  if sole and byte(sole) == WAITS then
    wake_all(sole)
    sole = false
  end
  if not sole then
    change(index, key, next_number() .. ':' .. length_of(identity) .. identity .. said)
    index.came_first[key] = row
  else
    index.came_first[key] = nil
    if sole ~= MANY then
      call('ZADD', many(index, key), sub(sole, 1, find(sole, ':', 1, true) - 1), holder(sole))
      change(index, key, MANY)
    end
    call('ZADD', many(index, key), next_number(), holder_text(identity, said))
  end
end

-- The same holder with another value keeps the moment at which it came.
local function exchange(index, key, identity, old_said, new_said)
  local old, new = holder_text(identity, old_said), holder_text(identity, new_said)
  local sole = held_by(index, key)
  local score = sole == MANY and call('ZSCORE', many(index, key), old)
  if score then
    call('ZREM', many(index, key), old)
    call('ZADD', many(index, key), score, new)
  elseif sole and sole ~= MANY and holder(sole) == old then
    change(index, key, sub(sole, 1, find(sole, ':', 1, true)) .. new)
  else
    enter(index, key, identity, new_said, nil)
  end
end

local function tell_index(one, row, identity, before)
  local index, key = one[1], one[2][row]
  if before and before[1] ~= key then
    leave(index, before[1], holder_text(identity, before[2]))
    wake(index, '-', before[1])
    before = nil
  end
  if not key then return end
  local said = one[3][row] or ''
  if not before then
    enter(index, key, identity, said, row)
  elseif before[2] ~= said then
    exchange(index, key, identity, before[2], said)
  else
    return
  end
  wake(index, '+', key)
end

local function tell(row)
  local identity, now, held_before = identities[row], nows[row], NOTHING
  local before = guards.cache[identity]
  if before == now then return end
  if before then
    local others
    held_before, others = entries_in(before)
    now = now .. others
    if before == now then return end
  end
  change(guards, identity, now)
  for at = 1, #told do tell_index(told[at], row, identity, held_before[told[at][1].id]) end
end

-- What is found when the question is answered with a violation, else nil.
local answer = {}
function answer.known(index, key, sole)
  if not sole then return {} end
end
function answer.agrees(index, key, sole, itself, said)
  if not sole then return end
  if sole ~= MANY then
    local at = find(sole, ':', 1, true) + 1
    at = at + 3 + number_at(sole, at)
    -- Nearly always they agree, which is seen without taking the text apart.
    if #sole - at + 1 == #said and find(sole, said, at, true) == at then return end
    return {sub(sole, at)}
  end
  local found = {}
  local newest = call('ZREVRANGE', many(index, key), 0, NEWEST - 1)
  for at = #newest, 1, -1 do
    local value = value_of(newest[at])
    if value == said then return end
    insert(found, value)
  end
  return found
end
function answer.first(index, key, sole, itself, said, row)
  if not sole or index.came_first[key] == row then return end
  local first = identity_of(sole == MANY and call('ZRANGE', many(index, key), 0, 0)[1] or holder(sole))
  if first ~= itself then return {first} end
end
function answer.clear(index, key, sole, itself)
  if not sole then return end
  for _, one in ipairs(sole == MANY and call('ZRANGE', many(index, key), 0, 1) or {holder(sole)}) do
    local identity = identity_of(one)
    if identity ~= itself then return {identity} end
  end
end

local function wait(index, event, key, row)
  local name, who, now = waiting_name(index, event, key), topic .. identities[row], orders[row] .. place
  if call('HSETNX', name, who, now) == 0 then
    -- An older version must not wait in place of a newer one.
    if call('HGET', name, who) >= now then return end
    call('HSET', name, who, now)
  end
  call('EXPIRE', name, spec.wait)
  await(index, event)
  if event == '+' then index.quiet[key] = nil end
end

local function is_among(entries, entry)
  local from, to = find(entries, entry, 1, true)
  -- Partition 12 begins as partition 1 does.
  while from and to < #entries and byte(entries, to + 1) ~= WAITS do from, to = find(entries, entry, to, true) end
  return from
end

-- The first holder of a key may contradict what was reported before it came. *text* is what stands at the key.
local function wait_for_first(index, key, text, row)
  local entry = '~' .. orders[row] .. place
  if not text then
    change(index, key, entry)
  elseif byte(text) ~= WAITS then
    wait(index, '+', key, row)
  elseif not is_among(text, entry) then
    if #text < CROWDED then change(index, key, text .. entry) else wait(index, '+', key, row) end
  end
end

local reply = {}
local function ask(number, question, key, row)
  local index = question.index
  local text = index.cache[key]
  local sole = text and byte(text) ~= WAITS and text
  local found = question.answer(index, key, sole, question.own and identities[row] or '', question.values[row] or '', row)
  if found then
    insert(reply, row - 1)
    insert(reply, number - 1)
    insert(reply, #found)
    for _, one in ipairs(found) do insert(reply, one) end
    if question.event then wait(index, question.event, key, row) end
  elseif question.for_first then
    wait_for_first(index, key, text, row)
  end
end

local questions = {}
for number, question in ipairs(spec.questions) do
  local where, event = looked_up[question[1]], write and question[5] ~= '' and question[5]
  questions[number] = {
    index = where[1], keys = where[2], values = values[question[2]], answer = answer[question[3]], own = question[4],
    event = event, for_first = event and question[3] == 'clear',
  }
end

if write then look_for_waiting() end
for row = 1, rows do
  local before = guarded and guards.cache[identities[row]]
  if before and sub(before, 1, 39) > orders[row] then
    insert(reply, row - 1)
    insert(reply, -1)
    insert(reply, 0)
  else
    if write and guarded then tell(row) end
    for number = 1, #questions do
      local key = questions[number].keys[row]
      if key then ask(number, questions[number], key, row) end
    end
  end
end

for _, one in ipairs(hashes) do
  local pairs_to_set, length, gone, cache = {}, 0, {}, one.cache
  for at = 1, one.changes do
    local field = one.changed[at]
    local text = cache[field]
    if text then
      pairs_to_set[length + 1], pairs_to_set[length + 2] = field, text
      length = length + 2
    elseif text == false then
      insert(gone, field)
    end
  end
  in_portions('HSET', one.name, pairs_to_set)
  in_portions('HDEL', one.name, gone)
  if one.changes > 0 then call('SADD', 'z:hashes', one.name) end
end
if came then call('INCRBY', 'z:came', format('%.0f', came - before_call)) end
return reply
