-- Spreads what was woken over the due lists, and takes from the lists of some partitions what may be judged again.
--
-- ARGV[1]: how many entries to spread at most, roughly; ARGV[2]: how many offsets to take at most
-- ARGV[3], ARGV[4], …: place (<topic>:<partition>), and the offset below which its messages are committed
--
-- Returns, for each place that has any: its number (from 0), how many offsets, and these, in order.
--
-- z:woken         list of hashes of who waited for something that has come (apply.lua); z:woken:at: how far the first
--                 of them has been read
-- z:due:<place>   sorted set of offsets that have to be judged again
-- z:try:<place>   those that somebody has taken: they stay, and are handed out again, until they are done. One that is
--                 woken anew meanwhile gets on the due list again: what it was judged by may be out of date
-- z:dues          the places that have ever had anything
local sub, call, insert = string.sub, redis.call, table.insert

-- An order ends in 19 digits of 2^63 - 1 less the offset; numbers here are exact up to 2^53 only.
local function offset_of(order)
  local high, low = tonumber(sub(order, 21, 29)), tonumber(sub(order, 30, 39))
  return string.format('%.0f', (922337203 - high) * 10000000000 + (6854775807 - low))
end

local function spread(most)
  local names = call('LRANGE', 'z:woken', 0, most - 1)
  if #names == 0 then return end
  local left, emptied, lists = most, 0, {}
  local cursor = call('GET', 'z:woken:at') or '0'
  for _, name in ipairs(names) do
    repeat
      local scanned = call('HSCAN', name, cursor, 'COUNT', left)
      cursor = scanned[1]
      for at = 2, #scanned[2], 2 do
        local value = scanned[2][at]
        local place, offset = sub(value, 40), offset_of(sub(value, 1, 39))
        local list = lists[place] or {}
        lists[place] = list
        insert(list, offset)
        insert(list, offset)
        left = left - 1
      end
    until cursor == '0' or left <= 0
    if cursor == '0' then
      call('UNLINK', name)
      emptied = emptied + 1
    end
    if left <= 0 then break end
  end
  call('LTRIM', 'z:woken', emptied, -1)
  if cursor == '0' then call('DEL', 'z:woken:at') else call('SET', 'z:woken:at', cursor) end
  for place, list in pairs(lists) do
    call('SADD', 'z:dues', place)
    for from = 1, #list, 2000 do call('ZADD', 'z:due:' .. place, unpack(list, from, math.min(from + 1999, #list))) end
  end
end

local function take(place, below, most)
  local due, try = 'z:due:' .. place, 'z:try:' .. place
  local offsets = call('ZRANGEBYSCORE', try, '-inf', '(' .. below, 'LIMIT', 0, most)
  if #offsets == 0 then
    offsets = call('ZRANGEBYSCORE', due, '-inf', '(' .. below, 'LIMIT', 0, most)
    for _, offset in ipairs(offsets) do call('ZADD', try, offset, offset) end
  end
  for _, offset in ipairs(offsets) do call('ZREM', due, offset) end
  return offsets
end

spread(tonumber(ARGV[1]))
local names = {}
for at = 3, #ARGV, 2 do
  insert(names, 'z:due:' .. ARGV[at])
  insert(names, 'z:try:' .. ARGV[at])
end
if #names == 0 or call('EXISTS', unpack(names)) == 0 then return {} end

local busy = {}
for at = 3, #ARGV, 2 do
  if call('EXISTS', 'z:due:' .. ARGV[at], 'z:try:' .. ARGV[at]) > 0 then insert(busy, at) end
end
-- Each place gets its share, so that one that is never done does not keep the others waiting.
local share = math.max(1, math.floor(tonumber(ARGV[2]) / #busy))
local reply = {}
for _, at in ipairs(busy) do
  local offsets = take(ARGV[at], ARGV[at + 1], share)
  if #offsets > 0 then
    insert(reply, (at - 3) / 2)
    insert(reply, #offsets)
    for _, offset in ipairs(offsets) do insert(reply, offset) end
  end
end
return reply
