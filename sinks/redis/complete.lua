-- Marks a subject as wholly cached and returns what is cached for it, as HGETALL does.
--
-- ARGV: subject, milliseconds since the epoch, milliseconds to remember that a subject has no records
-- The mark is the field with the empty name: no record has that. A subject without records gets a short-lived key instead,
-- so that asking for subjects that do not exist does not fill the memory.
local subject = 'zhida:subject:{' .. ARGV[1] .. '}'
if redis.call('EXISTS', subject) == 1 then
  redis.call('HSET', subject, '', ARGV[2])
else
  redis.call('SET', 'zhida:none:' .. ARGV[1], '', 'PX', ARGV[3])
end
return redis.call('HGETALL', subject)
