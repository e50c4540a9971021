// Package company is a small made-up company for trying the proxy: its people, departments and
// groups, and what they said to each other in the last two days. Ensure puts it into an empty
// store. It all goes through the rules, as if clients had asked for it, but what no client can ask
// for: people and departments, and the sessions of groups, which else a loop of the proxy moves.
package company

import "time"

// Password is everybody's.
const Password = "demo"

// person is somebody who works here. Their ids are the positions in the list, from 1.
type person struct {
	name, nick, domain string
	sex                uint32 // 1 male, 2 female
	department         string
	signature          string
}

// department is where people work. It belongs to the department above; "" for none.
type department struct{ name, above string }

// team is a group with its members. The first of them made it.
type team struct {
	name    string
	members []string
	open    bool // it is a temporary group: anyone may add people
}

var departments = []department{
	{"总部 Headquarters", ""},
	{"Engineering", "总部 Headquarters"},
	{"产品 Product", "总部 Headquarters"},
	{"客服 Support", "总部 Headquarters"},
}

var people = []person{
	{"ann", "Ann Miller", "ann", 2, "Engineering", "Ship it when it is boring."},
	{"bob", "Bob Novak", "bob", 1, "Engineering", "On call this week"},
	{"carol", "Carol Diaz", "carol", 2, "产品 Product", ""},
	{"dave", "Dave Okoro", "dave", 1, "客服 Support", "Tickets first, coffee second"},
	{"emma", "Emma Laurent", "emma", 2, "Engineering", ""},
	{"frank", "Frank Weber", "frank", 1, "客服 Support", ""},
	{"王小明", "小明", "wangxiaoming", 1, "Engineering", "今天也要加油"},
	{"李雷", "李雷", "lilei", 1, "产品 Product", ""},
	{"韩梅梅", "梅梅", "hanmeimei", 2, "产品 Product", "读书，跑步，写文档"},
	{"陈静", "静静", "chenjing", 2, "客服 Support", ""},
	{"张伟", "老张", "zhangwei", 1, "总部 Headquarters", "开会中，请留言"},
	{"刘洋", "刘洋", "liuyang", 2, "Engineering", ""},
}

var teams = []team{
	{"engineering", []string{"ann", "bob", "emma", "王小明", "刘洋"}, false},
	{"周五午饭 lunch", []string{"李雷", "ann", "bob", "carol", "韩梅梅", "陈静"}, true},
}

// chime, as the text of an event, stands for a voice message with that sound: see Chime.
const chime = "\x00chime"

// event is something that somebody said, or the moment when they read a talk.
type event struct {
	ago      time.Duration // before now; in the list, it only falls
	from, to string        // names; to may be # and a team
	text     string        // "" for reading
}

const hour, minute = time.Hour, time.Minute

// story is what happened so far.
var story = []event{
	{48 * hour, "ann", "#engineering",
		"Welcome, everybody. This is where we talk about what we build."},
	{47*hour + 40*minute, "王小明", "#engineering", "大家好！我是王小明，负责消息存储。"},
	{47*hour + 31*minute, "bob", "#engineering", "Hi! I look after the servers."},
	{47 * hour, "刘洋", "#engineering", "你好，我刚来，请多关照 🙂"},
	{46 * hour, "ann", "bob", "Morning Bob. Did the backup finish?"},
	{45*hour + 57*minute, "bob", "ann", "It did, 4 minutes. I also tried to restore it."},
	{45*hour + 56*minute, "ann", "bob", "And?"},
	{45*hour + 55*minute, "bob", "ann",
		"Same number of messages, same ids. Boring, as you like it."},
	{45*hour + 50*minute, "ann", "bob", ""},
	{44 * hour, "李雷", "韩梅梅", "你好！我叫李雷。产品文档写好了吗？"},
	{43*hour + 45*minute, "韩梅梅", "李雷", "写好了，在共享盘里，帮我看一下第三章。"},
	{43*hour + 30*minute, "李雷", "韩梅梅", "好的，下午看完给你反馈。"},
	{43 * hour, "韩梅梅", "李雷", ""},
	{28 * hour, "carol", "dave", "Dave, what do customers ask for most?"},
	{27*hour + 50*minute, "dave", "carol", "Search. And to see who has read their message."},
	{27*hour + 49*minute, "carol", "dave",
		"The second one we can do, the unread counts are there already."},
	{27*hour + 20*minute, "dave", "carol", "I will tell them \"soon\" then."},
	{26 * hour, "李雷", "#周五午饭 lunch", "周五中午一起吃饭吗？"},
	{25*hour + 55*minute, "韩梅梅", "#周五午饭 lunch", "好啊！我想吃火锅。"},
	{25*hour + 50*minute, "carol", "#周五午饭 lunch",
		"Count me in. Is there something without chili?"},
	{25*hour + 44*minute, "李雷", "#周五午饭 lunch", "有鸳鸯锅 — half and half, do not worry."},
	{25 * hour, "ann", "#周五午饭 lunch", "Table for six at 12:15?"},
	{24*hour + 30*minute, "bob", "#周五午饭 lunch", ""},
	{6 * hour, "ann", "王小明", "小明，how do you keep two first messages from making two talks?"},
	{5*hour + 52*minute, "王小明", "ann",
		"每个会话有一行，先锁住它。Each talk has a row, and we lock it first."},
	{5*hour + 40*minute, "ann", "王小明", "谢谢！That is simple enough to be right."},
	{5 * hour, "陈静", "张伟", "张总，客户想知道新版本什么时候上线。"},
	{4*hour + 30*minute, "张伟", "陈静", "下周一。我来回复他们。"},
	{4 * hour, "陈静", "张伟", ""},
	{3 * hour, "ann", "#engineering",
		"Release branch is cut. Please test the upgrade on your own data."},
	{2*hour + 20*minute, "bob", "#engineering", "Upgrade took 3 seconds here, nothing lost."},
	{2 * hour, "王小明", "#engineering", "我这边也没问题，二十万条消息，一条不少。"},
	{95 * minute, "刘洋", "#engineering", "Works on my laptop, too."},
	{50 * minute, "bob", "ann", "Listen to the new doorbell:"},
	{49 * minute, "bob", "ann", chime},
	{20 * minute, "王小明", "ann", "晚上一起看一下压力测试的结果？"},
	{18 * minute, "王小明", "ann", "p99 is 10 ms now."},
	{10 * minute, "韩梅梅", "#周五午饭 lunch", "订好了，12:15，六个人！"},
}
