package command

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func fileActions() map[string]action {
	return map[string]action{
		// A peer gets no answer to adding and removing that it could wait for. So the list is read
		// in their lane, after all that was sent before it.
		"IMFileHasOfflineReq": bulky(list[*impb.IMFileHasOfflineReq],
			change(waitingLane, waitingFiles)),
		"IMFileAddOfflineReq": change(receiversLane, addFile),
		"IMFileDelOfflineReq": change(receiversLane, removeFile),
	}
}

func waitingLane(req *impb.IMFileHasOfflineReq) chat.Lane { return chat.FilesLane(req.GetUserId()) }

// receiversLane is the lane of the receiver of a file.
func receiversLane[Q interface{ GetToUserId() uint32 }](req Q) chat.Lane {
	return chat.FilesLane(req.GetToUserId())
}

func waitingFiles(
	ctx context.Context, s *chat.Service, req *impb.IMFileHasOfflineReq,
) (proto.Message, error) {
	files, err := s.WaitingFiles(ctx, req.GetUserId())
	rsp := &impb.IMFileHasOfflineRsp{UserId: req.UserId}
	for _, f := range files {
		rsp.OfflineFileList = append(rsp.OfflineFileList, &impb.OfflineFileInfo{
			FromUserId: &f.From, TaskId: &f.Task, FileName: &f.Name, FileSize: &f.Size,
		})
	}
	return rsp, err
}

func addFile(
	ctx context.Context, s *chat.Service, req *impb.IMFileAddOfflineReq,
) (proto.Message, error) {
	return nil, s.AddFile(ctx, chat.OfflineFile{
		From: req.GetFromUserId(), To: req.GetToUserId(),
		Task: req.GetTaskId(), Name: req.GetFileName(), Size: req.GetFileSize(),
	})
}

func removeFile(
	ctx context.Context, s *chat.Service, req *impb.IMFileDelOfflineReq,
) (proto.Message, error) {
	return nil, s.RemoveFile(ctx, req.GetFromUserId(), req.GetToUserId(), req.GetTaskId())
}
