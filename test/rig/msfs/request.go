package msfs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// maxHead is how many bytes a request may have before its body.
const maxHead = 16 << 10

// request is a request without its body.
type request struct {
	method, target string
	headers        map[string]string // by name in small letters
}

// readHead reads up to the empty line after the headers.
func readHead(in *bufio.Reader) (request, error) {
	var lines []string
	for size := 0; ; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return request{}, err
		}
		if size += len(line); size > maxHead {
			return request{}, errors.New("head too long")
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 {
		return request{}, errors.New("no request line")
	}
	words := strings.Fields(lines[0])
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/") {
		return request{}, errors.New("no request line of HTTP")
	}
	return request{method: words[0], target: words[1], headers: parseHeaders(lines[1:])}, nil
}

func parseHeaders(lines []string) map[string]string {
	headers := make(map[string]string)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		headers[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	return headers
}

// NotFound is the answer to a GET of a file that is not there. Proper HTTP has an empty line before
// such a text.
const NotFound = "HTTP/1.1 404 Not Found\r\n<html><body>404 Not Found</body></html>"

// answer does what the request asks for, reading its body from in, and returns the answer to it.
func (s *Server) answer(req request, in io.Reader) []byte {
	switch req.method {
	case "GET":
		content, there := s.file(strings.TrimPrefix(req.target, "/"))
		if !there {
			return []byte(NotFound)
		}
		return ok("application/octet-stream", content)
	case "POST":
		content, extension, err := readUpload(req, in)
		if err != nil {
			return ok("text/html", answerJSON(1, err.Error(), "", ""))
		}
		name := s.keep(content, extension)
		return ok("text/html", answerJSON(0, "成功", name, s.URL()+name))
	default:
		return ok("text/html", answerJSON(2, "GET or POST", "", ""))
	}
}

func ok(contentType string, body []byte) []byte {
	head := fmt.Sprintf(
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		contentType, len(body))
	return append([]byte(head), body...)
}

func answerJSON(code int, text, path, url string) []byte {
	data, err := json.Marshal(struct {
		Code int    `json:"error_code"`
		Text string `json:"error_msg"`
		Path string `json:"path"`
		URL  string `json:"url"`
	}{code, text, path, url})
	if err != nil {
		return []byte(err.Error()) // never: an int and strings
	}
	return data
}

var (
	formType = regexp.MustCompile(`^multipart/form-data; *boundary=([^" ;]+)$`)
	formPart = regexp.MustCompile(`^form-data; *name="file"; *filename="([^"]+)"$`)
)

// readUpload reads the body of an upload, and returns the file in it and the extension of its name.
func readUpload(req request, in io.Reader) (content []byte, extension string, err error) {
	if req.headers["transfer-encoding"] != "" {
		return nil, "", errors.New("no transfer encodings")
	}
	length, err := strconv.Atoi(req.headers["content-length"])
	switch {
	case err != nil || length < 0:
		return nil, "", errors.New("no Content-Length")
	case length > MaxBody:
		return nil, "", errors.New("too large")
	}
	form := formType.FindStringSubmatch(req.headers["content-type"])
	if form == nil {
		return nil, "", errors.New("no multipart/form-data with an unquoted boundary")
	}
	body, err := io.ReadAll(io.LimitReader(in, int64(length)))
	if err == nil && len(body) < length {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, "", err
	}
	return readPart(body, form[1])
}

// readPart takes the only part out of a body.
func readPart(body []byte, boundary string) (content []byte, extension string, err error) {
	body, begins := bytes.CutPrefix(body, []byte("--"+boundary+"\r\n"))
	head, rest, whole := bytes.Cut(body, []byte("\r\n\r\n"))
	if !begins || !whole {
		return nil, "", errors.New("no part")
	}
	content, after, whole := bytes.Cut(rest, []byte("\r\n--"+boundary))
	if !whole || strings.TrimSpace(string(after)) != "--" {
		return nil, "", errors.New("not exactly one part")
	}
	headers := parseHeaders(strings.Split(string(head), "\r\n"))
	disposition := formPart.FindStringSubmatch(headers["content-disposition"])
	switch {
	case disposition == nil:
		return nil, "", errors.New("no part of the name file with a file name")
	case headers["content-type"] == "":
		return nil, "", errors.New("no Content-Type in the part")
	case strings.Contains(disposition[1], "_"):
		return nil, "", errors.New("an underscore in the file name")
	}
	if extension = path.Ext(disposition[1]); len(extension) < 2 {
		return nil, "", errors.New("no extension in the file name")
	}
	return content, extension, nil
}
