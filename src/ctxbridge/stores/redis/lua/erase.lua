-- Erase a contact and their conversation, as rules/erasure.py has it. KEYS: list, ids, outbox, what
-- is due, what is dead, where the contact was found, where it is found then, notes. ARGV: nonce, contact
-- expected, contact then, consent bits, placeholder, hash of the list, where the log must end (''
-- for wherever it does). Answers nonce, status, how
-- many entries there were, how many deliveries.
local nonce, hash = ARGV[1], ARGV[6]
local tail, what = tail_of(KEYS[1])
if what ~= 'home' then return {nonce, what, tail or ''} end
if tail[2] ~= ARGV[2] then return {nonce, 'again'} end
local h = unpack_head(tail[1])
if not whole(KEYS[1], h) then return {nonce, 'torn'} end
if ARGV[7] ~= '' and h.seq ~= tonumber(ARGV[7]) then return {nonce, 'again'} end
local ids, kept = redis.pcall('HGETALL', KEYS[2]), redis.pcall('HGETALL', KEYS[3])
local notes = redis.pcall('HGETALL', KEYS[8])
if ids.err or kept.err or notes.err or not unclaimed(KEYS[7]) then return {nonce, 'torn'} end
for i = 1, #notes, 2 do
  if #notes[i] == 17 and string.sub(notes[i], 1, 1) == '>' then return {nonce, 'again'} end -- a split is under way
end
local refused = may_list(nonce, KEYS[5], hash) or list_at(nonce, KEYS[4], hash, 0)
if refused then return refused end

local deliveries = 0
for i = 1, #kept, 2 do
  if #kept[i] == 17 and string.sub(kept[i], 1, 1) == 'd' then
    local member = hash .. string.sub(kept[i], 2)
    redis.call('ZREM', KEYS[4], member)
    redis.call('ZREM', KEYS[5], member)
    deliveries = deliveries + 1
  end
end
redis.call('DEL', KEYS[3], KEYS[8])

-- Of an id stays that it was known, and until when.
for i = 1, #ids, 2 do
  local kind, raw = string.sub(ids[i], 1, 1), ids[i + 1]
  if kind == 'm' and #ids[i] == 17 and #raw == 36 then
    redis.call('HSET', KEYS[2], ids[i], string.rep('\0', 30) .. string.sub(raw, 31))
  elseif kind == 't' or kind == 'l' or kind == 'w' then
    redis.call('HDEL', KEYS[2], ids[i])
  end
end

h.first, h.assurance, h.flags, h.consent = '\1\0\0', 0, ERASED, ARGV[4]
h.fence, h.lease, h.epoch, h.revision = h.fence + 1, 0, h.epoch + 1, h.revision + 1
h.turn, h.trace, h.waiting = string.rep('\0', 16), string.rep('\0', 25), ''
local entries = {}
for i = 1, h.seq do entries[i] = ARGV[5] end
redis.call('DEL', KEYS[1], KEYS[6])
redis.call('SET', KEYS[7], hash)
append(KEYS[1], false, entries, pack_head(h), ARGV[3], '')
redis.call('LLEN', KEYS[1])
return {nonce, 'ok', h.seq, deliveries}
