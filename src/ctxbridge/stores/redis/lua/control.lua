-- Put a tenant's control into a shard, unless a newer one is there. KEYS: the control. ARGV: nonce, value.
local nonce, value = ARGV[1], ARGV[2]
local newer = newer_control(KEYS[1], struct.unpack('>I8', value))
if not newer then return {nonce, 'torn'} end
if newer == '' then redis.call('SET', KEYS[1], value) end
return {nonce, 'ok'}
