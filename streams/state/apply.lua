-- Tells the state of records and asks it about them, row by row in order, atomically.
--
-- ARGV[1]: JSON, what the columns are:
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
-- ARGV[2]: orders, 39 digits each: the greater one is current. They end in 2^63 - 1 less the offset.
-- ARGV[3], ARGV[4]: identities, as texts are given: lengths of 3 digits each, then all of them one after the other.
-- Then each column of keys, 32 characters each (32 spaces: none), then each column of values, as two arguments.
--
-- Returns, for each row and question about which something was found: row and question (from 0), how many texts were
-- found, and these; for a row of a version that has been replaced: row, -1, 0. Nothing for all others.
--
-- z:g:<index>:<identity>  order .. key .. value   the guard: what the record holds; key and value are left out for nothing
-- z:i:<index>:<key>       who holds the key: <when it came>:<holder>, or * where it is, or was, more than one
-- z:m:<index>:<key>       sorted set of holders by when they came, where it is more than one
--                         holder = 3 digits, bytes of the identity .. identity .. value
-- z:w:<index><event>:<key>  hash of topic .. identity -> order .. place of who waits for the event at this key
-- z:q:<number>            such a hash when the event has come; z:woken: list of these, for due.lua
-- z:came                  counter of arrivals
--
-- What single commands would look up row by row is read for all rows at once, kept in tables while the rows are worked
-- through, and written back at the end: a command costs more here than all else that is done for a row.
local sub, byte, call, format, insert = string.sub, string.byte, redis.call, string.format, table.insert
local spec = cjson.decode(ARGV[1])
local write, place, topic = spec.write, spec.place, spec.topic
local NONE, MANY, NEWEST = string.rep(' ', 32), '*', 8
-- Arguments to one command, fewer than a Lua stack holds.
local AT_ONCE = 2000

local function number_at(text, at)
  local a, b, c = byte(text, at, at + 2)
  return a * 100 + b * 10 + c - 5328
end

local function texts(lengths, joined)
  local found, at = {}, 1
  for row = 1, #lengths / 3 do
    local length = number_at(lengths, row * 3 - 2)
    found[row] = sub(joined, at, at + length - 1)
    at = at + length
  end
  return found
end

local function fixed(column, width)
  local found = {}
  for row = 1, #column / width do found[row] = sub(column, (row - 1) * width + 1, row * width) end
  return found
end

-- Runs a command on names, portion by portion, and hands each portion's answer on.
local function in_portions(names, command, answered)
  for from = 1, #names, AT_ONCE do
    local to = math.min(from + AT_ONCE - 1, #names)
    local answer = call(command, unpack(names, from, to))
    if answered then answered(answer, from, to) end
  end
end

local orders, identities = fixed(ARGV[2], 39), texts(ARGV[3], ARGV[4])
local rows = #orders
local keys, values = {}, {[0] = {}}
for column = 1, spec.keys do keys[column] = fixed(ARGV[4 + column], 32) end
for column = 1, spec.values do
  local at = 3 + spec.keys + 2 * column
  values[column] = texts(ARGV[at], ARGV[at + 1])
end
local sizes = {}
for row = 1, rows do sizes[row] = format('%03d', #identities[row]) end

-- Guards and sole holders by name: text, or false for none. What changes is named in changed.
local cache, changed = {}, {}
local function read(names)
  in_portions(names, 'MGET', function(answer, from)
    for at = 1, #answer do cache[names[from + at - 1]] = answer[at] end
  end)
end
local function cached(name)
  local text = cache[name]
  if text == nil then
    text = call('GET', name)
    cache[name] = text
  end
  return text
end
local function change(name, text)
  cache[name] = text
  insert(changed, name)
end

local wanted = {}
local guards, held = {}, {}
for at, index in ipairs(spec.indexes) do
  local prefix, names = 'z:g:' .. spec.lookups[index[1]][1] .. ':', {}
  for row = 1, rows do names[row] = prefix .. identities[row] end
  guards[at] = names
  for row = 1, rows do insert(wanted, names[row]) end
end
for at, lookup in ipairs(spec.lookups) do
  local prefix, names, column = 'z:i:' .. lookup[1] .. ':', {}, keys[lookup[2]]
  for row = 1, column and rows or 0 do
    local key = column[row]
    if key ~= NONE then
      local name = prefix .. key
      names[row] = name
      if cache[name] == nil then
        cache[name] = false
        insert(wanted, name)
      end
    end
  end
  held[at] = names
end
read(wanted)

local before_call, came
local function next_number()
  if not came then
    before_call = tonumber(call('GET', 'z:came') or 0)
    came = before_call
  end
  came = came + 1
  return format('%.0f', came)
end

-- Names at which nobody waits, by what was read for all rows; names that are not in it have to be looked up.
local quiet = {}
local function waiting_name(index, event, key) return 'z:w:' .. index .. event .. ':' .. key end

local function look_for_waiting()
  local names = {}
  for at, index in ipairs(spec.indexes) do
    local id, column = spec.lookups[index[1]][1], keys[spec.lookups[index[1]][2]]
    local said = values[index[2]]
    for row = 1, rows do
      local before, key = cache[guards[at][row]], column and column[row] or NONE
      local entry = key == NONE and '' or key .. (said[row] or '')
      local held_before = before and sub(before, 40) or ''
      if held_before ~= entry then
        if entry ~= '' then insert(names, waiting_name(id, '+', key)) end
        if held_before ~= '' then insert(names, waiting_name(id, '-', sub(held_before, 1, 32))) end
      end
    end
  end
  in_portions(names, 'EXISTS', function(count, from, to)
    if count == 0 then
      for at = from, to do quiet[names[at]] = true end
    end
  end)
end

local function wake(index, event, key)
  local name = waiting_name(index, event, key)
  if quiet[name] then return end
  if call('EXISTS', name) == 1 then
    local fresh = 'z:q:' .. next_number()
    call('RENAME', name, fresh)
    call('PERSIST', fresh)
    call('RPUSH', 'z:woken', fresh)
  end
  quiet[name] = true
end

local function many(name) return 'z:m:' .. sub(name, 5) end
local function holder(text) return sub(text, string.find(text, ':', 1, true) + 1) end
local function identity_of(holder_text) return sub(holder_text, 4, 3 + number_at(holder_text, 1)) end
local function value_of(holder_text) return sub(holder_text, 4 + number_at(holder_text, 1)) end

local function leave(name, member)
  local sole = cached(name)
  if sole == MANY then
    call('ZREM', many(name), member)
    if call('EXISTS', many(name)) == 0 then change(name, false) end
  elseif sole and holder(sole) == member then
    change(name, false)
  end
end

local function enter(name, member)
  local sole = cached(name)
  if not sole then
    change(name, next_number() .. ':' .. member)
  else
    if sole ~= MANY then
      call('ZADD', many(name), sub(sole, 1, string.find(sole, ':', 1, true) - 1), holder(sole))
      change(name, MANY)
    end
    call('ZADD', many(name), next_number(), member)
  end
end

-- The same holder with another value keeps the moment at which it came.
local function exchange(name, old, new)
  local sole = cached(name)
  local score = sole == MANY and call('ZSCORE', many(name), old)
  if score then
    call('ZREM', many(name), old)
    call('ZADD', many(name), score, new)
  elseif sole and sole ~= MANY and holder(sole) == old then
    change(name, sub(sole, 1, string.find(sole, ':', 1, true)) .. new)
  else
    enter(name, new)
  end
end

local function tell(at, row)
  local index = spec.indexes[at]
  local id, name, said = spec.lookups[index[1]][1], held[index[1]][row], values[index[2]][row] or ''
  local key = name and sub(name, -32) or ''
  local entry = name and key .. said or ''
  local guard = guards[at][row]
  local before, now = cache[guard], orders[row] .. entry
  if before == now then return end
  change(guard, now)
  local held_before = before and sub(before, 40) or ''
  if held_before == entry then return end
  local key_before = sub(held_before, 1, 32)
  local person = sizes[row] .. identities[row]
  if held_before ~= '' and key_before ~= key then
    leave('z:i:' .. id .. ':' .. key_before, person .. sub(held_before, 33))
    wake(id, '-', key_before)
  end
  if entry ~= '' then
    if held_before ~= '' and key_before == key then
      exchange(name, person .. sub(held_before, 33), person .. said)
    else
      enter(name, person .. said)
    end
    wake(id, '+', key)
  end
end

-- What is found when the question is answered with a violation, else nil.
local answer = {}
function answer.known(name, sole)
  if not sole then return {} end
end
function answer.agrees(name, sole, itself, said)
  if not sole then return end
  local found = {}
  local newest = sole == MANY and call('ZREVRANGE', many(name), 0, NEWEST - 1) or {holder(sole)}
  for at = #newest, 1, -1 do
    local value = value_of(newest[at])
    if value == said then return end
    insert(found, value)
  end
  return found
end
function answer.first(name, sole, itself)
  if not sole then return end
  local first = identity_of(sole == MANY and call('ZRANGE', many(name), 0, 0)[1] or holder(sole))
  if first ~= itself then return {first} end
end
function answer.clear(name, sole, itself)
  if not sole then return end
  for _, one in ipairs(sole == MANY and call('ZRANGE', many(name), 0, 1) or {holder(sole)}) do
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
  quiet[name] = nil
end

if write then look_for_waiting() end
local reply = {}
for row = 1, rows do
  local stale, order = false, orders[row]
  for at = 1, #guards do
    local before = cache[guards[at][row]]
    if before and sub(before, 1, 39) > order then stale = true end
  end
  if stale then
    insert(reply, row - 1)
    insert(reply, -1)
    insert(reply, 0)
  else
    if write then
      for at = 1, #guards do tell(at, row) end
    end
    for number, question in ipairs(spec.questions) do
      local name = held[question[1]][row]
      if name then
        local mode, event = question[3], question[5]
        local said, itself = values[question[2]][row] or '', question[4] and identities[row] or ''
        local found = answer[mode](name, cached(name), itself, said)
        if found then
          insert(reply, row - 1)
          insert(reply, number - 1)
          insert(reply, #found)
          for _, text in ipairs(found) do insert(reply, text) end
        elseif mode == 'clear' and event ~= '' then
          event = '+'
        else
          event = ''
        end
        if write and event ~= '' then wait(spec.lookups[question[1]][1], event, sub(name, -32), row) end
      end
    end
  end
end

local pairs_to_set, gone = {}, {}
for _, name in ipairs(changed) do
  local text = cache[name]
  if text then
    insert(pairs_to_set, name)
    insert(pairs_to_set, text)
  elseif text == false then
    insert(gone, name)
  end
end
in_portions(pairs_to_set, 'MSET')
in_portions(gone, 'UNLINK')
if came then call('INCRBY', 'z:came', format('%.0f', came - before_call)) end
return reply
