-- Write or delete a record. KEYS: the record. What is stored is the nonce of who wrote it and the
-- record as wire/format1.py tells it; a nonce alone stands for one that was deleted a moment ago.
-- ARGV: fixed fields, value. Answers nonce, status, revision and when it ends.
local nonce, now, life, expects, expected, deletes = struct.unpack('>c8I8I8BI8B', ARGV[1])
now = clock(now)
local raw = redis.pcall('GET', KEYS[1])
if type(raw) == 'table' or (raw and #raw < 8) then return {nonce, 'torn'} end
local last, held = 0, 0
if raw and string.sub(raw, 1, 8) == nonce then
  if #raw == 8 then return {nonce, 'ok', 0, 0} end
  local revision, ends = struct.unpack('>I8I8', raw, 10)
  return {nonce, 'ok', revision, ends}
end
if raw and #raw > 8 then
  if #raw < 25 then return {nonce, 'torn'} end
  if string.byte(raw, 9) ~= 1 then return {nonce, 'format'} end
  local revision, ends = struct.unpack('>I8I8', raw, 10)
  last = revision
  if ends == 0 or ends > now then held = revision end
end
if expects == 1 and expected ~= held then return {nonce, 'conflict'} end
if deletes == 1 then
  if raw then redis.call('SET', KEYS[1], nonce, 'PX', 3600000) end
  return {nonce, 'ok', 0, 0}
end
local ends = life > 0 and now + life or 0
local record = nonce .. struct.pack('>BI8I8', 1, last + 1, ends) .. ARGV[2]
-- The key outlives the record by a day, so that its revision is counted on.
if life > 0 then
  redis.call('SET', KEYS[1], record, 'PX', life + 86400000)
else
  redis.call('SET', KEYS[1], record)
end
return {nonce, 'ok', last + 1, ends}
