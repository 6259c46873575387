-- Commit what a turn produced, or give its lease back. KEYS: list, ids.
-- ARGV: fixed fields, state, then a place and an entry for each that is amended, then what is
-- appended. Answers nonce, status and what belongs to it.
local nonce, now, life, turn, owner, fenced, fence, epoch, revised, revision, finished, stated, labelled, amended, trace =
  struct.unpack('>c8I8I8c16c16BI8I8BI8BBBI4c25', ARGV[1])
now = clock(now)
local tail, what = tail_of(KEYS[1])
if what ~= 'home' then return {nonce, what, tail or ''} end
local h, contact, state = unpack_head(tail[1]), tail[2], tail[3]
if not whole(KEYS[1], h) then return {nonce, 'torn'} end
-- The id of a contact stands behind the format, the array's mark and the mark of 16 bytes.
if string.sub(contact, 5, 20) ~= owner then return {nonce, 'none', ''} end
local known = redis.pcall('HMGET', KEYS[2], 't' .. turn, 'n', 'x')
if known.err then return {nonce, 'torn'} end
local limit, ends = bounds(known[2], known[3])
if not limit then return {nonce, 'torn'} end

local function refuse(reason)
  redis.call('LLEN', KEYS[1])
  return {nonce, reason, h.revision, h.epoch, h.fence, h.seq, h.turn, h.lease}
end

local holds = fenced == 1 and h.lease > 0 and fence == h.fence and turn == h.turn
if not holds then
  local done = answer_in(known[1], now)
  if done then
    if done.fence ~= (fenced == 1 and fence or 0) then return refuse('fenced') end
    redis.call('LLEN', KEYS[1])
    return {nonce, 'replayed', done.first + done.count - 1, done.revision, h.seq}
  end
end
if fenced == 1 and not holds then return refuse(fence > h.fence and 'rolledback' or 'fenced') end
if holds and finished == 1 and epoch ~= h.epoch then return refuse('gated') end
if fenced == 0 and revised == 1 and revision ~= h.revision then return refuse('conflict') end
for i = 1, amended do
  local place = tonumber(ARGV[1 + 2 * i])
  if place < 1 or place > h.seq then return refuse('unknown') end
end

local before, entries = h.seq, {}
for i = 3 + 2 * amended, #ARGV do entries[#entries + 1] = ARGV[i] end
local appended = #entries
h.seq = before + appended
if stated == 1 then state, h.revision = ARGV[2], h.revision + 1 end
if labelled > 0 then h.flags = bit.bor(h.flags, labelled) end
if fenced == 1 then
  h.lease = 0
  if trace ~= string.rep('\0', 25) then h.trace = trace end
end
if finished == 1 then
  local answer = struct.pack('>I5I2I5I5I6',
    before + 1, appended, h.revision, fenced == 1 and fence or 0, now + life)
  remember(KEYS[2], h.seq, now, life, limit, ends, 't' .. turn, answer)
end
local packed = pack_head(h)
-- Also the first write where nothing is remembered: one that a server without memory refuses.
if appended == 0 or finished == 0 then redis.call('LSET', KEYS[1], -3, packed) end
for i = 1, amended do
  redis.call('LSET', KEYS[1], tonumber(ARGV[1 + 2 * i]) - before - 4, ARGV[2 + 2 * i])
end
if appended > 0 then
  append(KEYS[1], true, entries, packed, contact, state)
elseif stated == 1 then
  redis.call('LSET', KEYS[1], -1, state)
end
redis.call('LLEN', KEYS[1])
return {nonce, 'ok', h.seq, h.revision, packed}
