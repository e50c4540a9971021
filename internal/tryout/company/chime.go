package company

import (
	"encoding/binary"
	"math"
)

// ChimeSeconds is how long the Chime sounds.
const ChimeSeconds = 1

// Chime is a doorbell of two tones, one second long: a WAV file, 8-bit mono PCM at 8000 samples a
// second, 8044 bytes. Clients of the suite send Speex; to the proxy every sound is bytes.
func Chime() []byte {
	const rate = 8000
	sound := make([]byte, 0, 44+rate)
	sound = append(sound, "RIFF"...)
	sound = binary.LittleEndian.AppendUint32(sound, 36+rate) // bytes that follow
	sound = append(sound, "WAVEfmt "...)
	sound = binary.LittleEndian.AppendUint32(sound, 16) // bytes of the format
	sound = binary.LittleEndian.AppendUint16(sound, 1)  // PCM
	sound = binary.LittleEndian.AppendUint16(sound, 1)  // channels
	sound = binary.LittleEndian.AppendUint32(sound, rate)
	sound = binary.LittleEndian.AppendUint32(sound, rate) // bytes a second
	sound = binary.LittleEndian.AppendUint16(sound, 1)    // bytes a sample
	sound = binary.LittleEndian.AppendUint16(sound, 8)    // bits a sample
	sound = append(sound, "data"...)
	sound = binary.LittleEndian.AppendUint32(sound, rate*ChimeSeconds)
	for i := range rate * ChimeSeconds {
		tone, since := 659.26, float64(i)/rate
		if since >= 0.4 {
			tone, since = 523.25, since-0.4
		}
		wave := math.Exp(-4*since) * math.Sin(2*math.Pi*tone*since)
		sound = append(sound, byte(128+100*wave))
	}
	return sound
}

// VoiceData is a sound as messages carry it: its duration, then the sound.
func VoiceData(seconds uint32, sound []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, seconds), sound...)
}
